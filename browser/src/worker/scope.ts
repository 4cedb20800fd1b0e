/// <reference lib="webworker" />
/** The worker's own world, and what the build wrote into it. */

export const scope = self as unknown as ServiceWorkerGlobalScope;

/** What a build consists of. */
export interface Manifest {
  readonly build: string;
  /** Fetched when the worker is installed. */
  readonly first: readonly string[];
  /** Fetched when somebody opens a page that needs them. */
  readonly later: readonly string[];
  /** The script with the outbox, which the worker runs when it has something to send. */
  readonly outbox: string;
}
