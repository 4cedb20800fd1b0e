import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import { ENTRY_VERSION, type Entry } from "./entry";
import { openIndexedDb } from "./indexeddb";
import { nameOf } from "./name";
import { checksumOf, seal, unseal } from "./record";
import { ADA, FakeServer, ManualClock, open } from "./rig";
import type { Meta } from "./store";

/**
 * What each released version wrote, as it stood on the device: these texts are never changed, only added to.
 * A newer build must prove, send and settle every one of them.
 */
const WRITTEN: Record<number, { meta: object; entries: object[] }> = {
  1: {
    meta: {
      orgId: "tidewater",
      userId: "ada",
      deviceId: "01a2099c-16f1-7423-b8a5-6b3f7a1ca1f4",
      generation: 1,
      lastSeq: 2,
      epoch: 3,
      beatAtMs: 1_795_420_800_000,
      gone: [],
      suspects: [],
    },
    entries: [
      {
        id: "01a2099c-1700-7a31-9d6e-3f0c54d2be71",
        lane: "progressQueue",
        kind: "lesson.completed",
        orgId: "tidewater",
        userId: "ada",
        createdAt: "2026-11-23T08:00:00.000Z",
        version: 1,
        payload: '{"courseId":"reading-the-tide","lessonId":"ebb"}',
        label: "“Ebb” complete",
        generation: 1,
        seq: 1,
        checksum: "937c2043",
      },
      {
        id: "01a2099c-1701-7c52-8a10-94f7b6a0c3d8",
        lane: "adminQueue",
        kind: "course.assigned",
        orgId: "tidewater",
        userId: "ada",
        assignedBy: "ada",
        createdAt: "2026-11-23T08:00:01.000Z",
        version: 1,
        payload: '{"courseId":"reading-the-tide","userIds":["ben"]}',
        generation: 1,
        seq: 2,
        checksum: "e19b35d0",
      },
    ],
  },
};

describe.each(Object.keys(WRITTEN).map(Number))("an outbox written by version %i", (version) => {
  const { meta, entries } = WRITTEN[version] as { meta: Meta; entries: Entry[] };

  it("is read as it stands", () => {
    for (const entry of entries) expect(unseal(entry)).toEqual(entry);
  });

  it("drains in this version", async () => {
    const factory = new IDBFactory();
    const store = openIndexedDb(() => factory, nameOf(ADA));
    await store.write(() => ({ meta, put: entries.map((entry) => ["entries", entry]) }), true);
    store.close();
    const clock = new ManualClock();
    const server = new FakeServer();
    const outbox = await open(server, { clock, indexedDB: factory });
    await clock.pass(1_000);
    expect([...server.applied.keys()].sort()).toEqual(entries.map(({ id }) => id).sort());
    expect(outbox.status).toMatchObject({ backlog: 0, undeliverable: 0, losses: 0 });
    await outbox.close();
  });
});

describe("versions", () => {
  it("all have what they wrote kept here, up to this build's", () => {
    expect(Object.keys(WRITTEN).map(Number).at(-1)).toBe(ENTRY_VERSION);
  });

  it("read each other: an entry of a later build, with fields this one does not know, is whole", async () => {
    const [{ seq, generation, checksum, ...fresh }] = (WRITTEN[1] as { entries: object[] }).entries as [
      Entry,
    ];
    const later = { ...fresh, version: ENTRY_VERSION + 1, mood: "calm" };
    const entry = seal(later, checksumOf(later), 1, 5);
    expect(unseal(entry)).toEqual(entry);
    expect(unseal({ ...entry, mood: "wild" })).toBeUndefined();
  });

  it("keep a principal's database under one name for ever", () => {
    expect(nameOf(ADA)).toBe("holdfast-f9d8d7b40d925bf8");
    expect(nameOf({ orgId: "tidewater", userId: "adb" })).not.toBe(nameOf(ADA));
    expect(nameOf({ orgId: "a", userId: "bc" })).not.toBe(nameOf({ orgId: "ab", userId: "c" }));
  });

  it("give no two of many principals one name", () => {
    const names = new Set<string>();
    for (let at = 0; at < 20_000; at += 1) names.add(nameOf({ orgId: `o${at % 7}`, userId: `u${at}` }));
    expect(names.size).toBe(20_000);
  });
});
