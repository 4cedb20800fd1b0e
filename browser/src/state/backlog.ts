import type { Health } from "../wire/shapes";

/** From here on a backlog is told, and holds up bulk work; the server tells its own figure. */
export const largestBacklog = (health: Health | undefined): number => health?.offlineQueue?.warnAt ?? 50;
