/**
 * What must hold before an answer is believed. A status of 200 proves little: a captive portal says it
 * too, some of them in JSON. So each answer is checked for what the page stands on, and for no more:
 * a field a newer server adds is no reason to distrust it.
 */
import type {
  Assigned,
  Course,
  CourseList,
  DeviceState,
  Health,
  Held,
  Lesson,
  LossTaken,
  Receipt,
  Receipts,
  Session,
} from "./shapes";

/** The value as its type, or undefined when it is not that. Some of what is said stands in a header. */
export type Believe<T> = (value: unknown, headers: Headers) => T | undefined;

type Fields = Record<string, unknown>;

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null;
const isText = (value: unknown): value is string => typeof value === "string";
const allTexts = (fields: Fields, ...names: string[]) => names.every((name) => isText(fields[name]));

export const believeSession: Believe<Session> = (value) => {
  if (!isFields(value) || !isFields(value.principal)) return undefined;
  const { principal } = value;
  const whole =
    (value.csrfToken === null || isText(value.csrfToken)) &&
    allTexts(principal, "userId", "email", "name") &&
    (principal.orgId === null || isText(principal.orgId)) &&
    Array.isArray(principal.roles) &&
    Array.isArray(principal.orgs);
  return whole ? (value as unknown as Session) : undefined;
};

export const believeCourseList: Believe<CourseList> = (value) =>
  isFields(value) &&
  Array.isArray(value.items) &&
  value.items.every((item) => isFields(item) && isText(item.id))
    ? (value as unknown as CourseList)
    : undefined;

export const believeCourse: Believe<Course> = (value) =>
  isFields(value) && allTexts(value, "id", "title") && Array.isArray(value.lessons)
    ? (value as unknown as Course)
    : undefined;

export const believeLesson: Believe<Lesson> = (value) =>
  isFields(value) &&
  allTexts(value, "id", "courseId", "title", "html") &&
  isFields(value.progress) &&
  Array.isArray(value.answers)
    ? (value as unknown as Lesson)
    : undefined;

const STATUSES = new Set(["ok", "degraded", "down", "unknown"]);

export const believeHealth: Believe<Health> = (value, headers) => {
  if (!isFields(value) || !isText(value.status) || !STATUSES.has(value.status)) return undefined;
  // A demonstration says so to everybody; to those who have not signed in, in a header.
  const demo = value.demo === true || headers.get("X-Holdfast-Demo") === "on";
  return { ...(value as unknown as Health), demo };
};

const RECEIPT_STATUSES = new Set(["accepted", "duplicate", "invalid", "forbidden", "conflict", "later"]);

const isReceipt = (value: unknown): value is Receipt =>
  isFields(value) && isText(value.id) && isText(value.status) && RECEIPT_STATUSES.has(value.status);

/**
 * Receipts are what lets an event go, so they are read one by one: one that cannot be read names no
 * event, and that event stays unsaved while its neighbours settle.
 */
export const believeReceipts: Believe<Receipts> = (value) => {
  if (!isFields(value) || !Array.isArray(value.receipts)) return undefined;
  const slowDownMs = typeof value.slowDownMs === "number" ? value.slowDownMs : 0;
  return {
    receipts: value.receipts.filter(isReceipt),
    slowDownMs,
    ...(isDeviceState(value.device) && { device: value.device }),
  };
};

const isDeviceState = (value: unknown): value is DeviceState =>
  isFields(value) && typeof value.acceptedThrough === "number" && Array.isArray(value.missing);

export const believeHeld: Believe<Held> = (value) =>
  isFields(value) && Array.isArray(value.held) ? (value as unknown as Held) : undefined;

export const believeLossTaken: Believe<LossTaken> = (value) =>
  isFields(value) && isReceipt(value.receipt) ? (value as unknown as LossTaken) : undefined;

/** With the effect or without it, the receipt is there: only that lets an entry go. */
export const believeAssigned: Believe<Assigned> = (value) =>
  isFields(value) && isReceipt(value.receipt) ? (value as unknown as Assigned) : undefined;

/** For calls whose answer is empty. */
export const believeNothing: Believe<null> = () => null;
