import { signal } from "@preact/signals";
import { describe, expect, it } from "vitest";
import { systemClock } from "../core/clock";
import type { Health } from "../wire/shapes";
import { adminOf, bulkHold, takeAwayHold } from "./admin";
import { everyDay } from "./admin-days";
import { assignedOf, choose, dueAtOf, EMPTY_DRAFT, faultsOf, leaveOut } from "./admin-draft";
import { MOST_LEARNERS } from "./admin-list";
import { type Keep, keepIn } from "./keep";
import type { Portal } from "./portal";
import { ADA, CAL, storageOf } from "./rig";
import { createScreen } from "./screen";
import { markOf } from "./session";

const health = (backlog: number, warnAt = 50): Health => ({
  status: "ok",
  epoch: "e",
  seq: 1,
  offlineQueue: { backlog, pendingAssignments: 0, warnAt },
});
const person = (id: string) => ({ id, name: id, email: `${id}@x.example`, active: true });

describe("work for many at once", () => {
  it("is held up by a backlog of this device, and by one of the server, and goes on when it drained", () => {
    expect(bulkHold({ backlog: 50 }, undefined)).toBeUndefined();
    expect(bulkHold({ backlog: 51 }, undefined)).toContain("51 things on this device");
    expect(bulkHold({ backlog: 0 }, health(51))).toContain("51 things of your organisation");
    expect(bulkHold({ backlog: 0 }, health(50))).toBeUndefined();
  });

  it("goes by the server's own limit where it tells one", () => {
    expect(bulkHold({ backlog: 11 }, health(0, 10))).toContain("10 or fewer");
  });
});

describe("taking something away", () => {
  it("is held back while the store is not well, and for no other loss", () => {
    const loss = (name: string) => ({
      name,
      lost: "Changes.",
      works: "Reading.",
      runbook: "store-out",
      since: "2031-01-01T00:00:00Z",
      expectedEndAt: "2031-01-01T00:10:00Z",
    });
    expect(takeAwayHold(undefined)).toBeUndefined();
    expect(takeAwayHold({ ...health(0), degradations: [loss("applying_behind")] })).toBeUndefined();
    for (const name of ["store_out", "store_read_only"]) {
      const told = takeAwayHold({ ...health(0), degradations: [loss("applying_behind"), loss(name)] });
      expect(told).toMatchObject({ name, expectedEndAt: "2031-01-01T00:10:00Z" });
    }
  });
});

describe("an assignment in the making", () => {
  it("says what is missing", () => {
    expect(faultsOf(EMPTY_DRAFT)).toEqual(["Choose a course.", "Choose at least one learner."]);
    const many = choose(
      EMPTY_DRAFT,
      Array.from({ length: MOST_LEARNERS + 1 }, (_, at) => person(`p${at}`)),
    );
    expect(faultsOf({ ...many, courseId: "git", note: "x".repeat(501) })).toEqual([
      "5001 learners are chosen; 5000 can be assigned at once.",
      "The note is longer than 500 characters.",
    ]);
  });

  it("names each learner once, however often they were chosen", () => {
    const twice = choose(choose(EMPTY_DRAFT, [person("a"), person("b")]), [person("b"), person("c")]);
    expect([...leaveOut(twice, ["a"]).chosen.keys()]).toEqual(["b", "c"]);
    const made = assignedOf({ ...twice, courseId: "git", note: "  " }, "Git");
    expect(made).toEqual({ courseId: "git", courseTitle: "Git", userIds: ["a", "b", "c"] });
  });

  it("is due at the end of the day where the administrator is", () => {
    expect(new Date(dueAtOf("2031-12-24") ?? "").getTime()).toBe(
      new Date(2031, 11, 24, 23, 59, 59).getTime(),
    );
    expect(dueAtOf("")).toBeUndefined();
    expect(dueAtOf("nonsense")).toBeUndefined();
  });
});

describe("an assignment in the making when a new version comes", () => {
  const tab = (): Keep => {
    const { storage } = storageOf();
    return keepIn(() => storage);
  };
  /** A page of this tab; what it takes down before an update, the next one finds. */
  const page = (tabKeep: Keep) => {
    const screen = createScreen(tabKeep, () => "/admin/assign");
    const outbox = {
      entries: signal([]),
      ready: signal(true),
      status: signal({ backlog: 0 }),
      add: () => "",
    };
    const health = { service: signal({}) };
    const portal = { wire: {}, outbox, health, clock: systemClock, installed: { screen } };
    return { screen, admin: (owner = ADA) => adminOf(portal as unknown as Portal, owner) };
  };
  const chosen = { courseId: "git", dueDay: "2031-12-24", note: "soon" };

  it("is there again, with everybody who was chosen", () => {
    const keep = tab();
    const before = page(keep);
    before.admin().draft.value = choose({ ...EMPTY_DRAFT, ...chosen }, [person("a"), person("b")]);
    before.screen.save();
    const { draft } = page(keep).admin();
    expect(draft.value).toEqual(choose({ ...EMPTY_DRAFT, ...chosen }, [person("a"), person("b")]));
  });

  it("is given to nobody else who signs in", () => {
    const keep = tab();
    const before = page(keep);
    before.admin().draft.value = choose(EMPTY_DRAFT, [person("a")]);
    before.screen.save();
    expect(page(keep).admin(CAL).draft.value).toEqual(EMPTY_DRAFT);
  });

  it("is begun anew where what another version wrote can't be read", () => {
    for (const kept of [null, 1, {}, { mark: markOf(ADA), chosen: [null, { id: 3 }] }]) {
      const keep = tab();
      const before = page(keep);
      before.screen.rememberScreen("assign", () => kept);
      before.screen.save();
      expect(page(keep).admin().draft.value).toEqual(EMPTY_DRAFT);
    }
  });
});

describe("days of a chart", () => {
  const on = (day: string) => ({ day, lessons: 1, learners: 1 });
  it("have the empty ones between them, over the end of a month and of summer time", () => {
    const days = everyDay([on("2031-10-24"), on("2031-11-02")]);
    expect(days.map(({ day }) => day.slice(8))).toEqual("24 25 26 27 28 29 30 31 01 02".split(" "));
    expect(days.map(({ lessons }) => lessons)).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  });

  it("are none without any, and never more than a page can show", () => {
    expect(everyDay([])).toEqual([]);
    expect(everyDay([on("0001-01-01"), on("2031-10-24")])).toHaveLength(62);
  });
});
