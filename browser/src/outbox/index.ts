/** What others import. */

export type { Draft, Entry, Lane, Loss, Principal, Undeliverable } from "./entry";
export { openOutbox } from "./open";
export type { Mirror, Page, Parts, Pass } from "./parts";
export type { Answered, LaneState, LaneStatus, News, NotKept, Outbox, Status } from "./port";
export { openTally, type Tally, tellingSyncs } from "./tally";
