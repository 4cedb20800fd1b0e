import { describe, expect, it } from "vitest";
import { openDevice } from "./device";
import { keepIn } from "./keep";

function storage(memory = new Map<string, string>()) {
  return {
    memory,
    getItem: (key: string) => memory.get(key) ?? null,
    setItem: (key: string, value: string) => void memory.set(key, value),
    removeItem: (key: string) => void memory.delete(key),
  } as unknown as Storage & { memory: Map<string, string> };
}

describe("this device", () => {
  it("keeps its name and counts on when the page is opened again", () => {
    const kept = storage();
    const keep = keepIn(() => kept);
    const first = openDevice(keep, () => "one");
    expect([first.nextSeq(), first.nextSeq()]).toEqual([1, 2]);
    const again = openDevice(keep, () => "two");
    expect(again.deviceId).toBe("one");
    expect(again.nextSeq()).toBe(3);
  });

  it("shares one line of numbers between its tabs", () => {
    const kept = storage();
    const tabs = [
      openDevice(
        keepIn(() => kept),
        () => "one",
      ),
      openDevice(
        keepIn(() => kept),
        () => "two",
      ),
    ];
    expect([0, 1, 0, 1].map((tab) => tabs[tab]?.nextSeq())).toEqual([1, 2, 3, 4]);
  });

  it("starts anew over what it cannot read", () => {
    const kept = storage(new Map([["holdfast.device", '{"deviceId":7}']]));
    expect(
      openDevice(
        keepIn(() => kept),
        () => "fresh",
      ),
    ).toMatchObject({ deviceId: "fresh", generation: 1 });
  });

  it("works from memory where the browser forbids storage", () => {
    const keep = keepIn(() => {
      throw new DOMException("denied", "SecurityError");
    });
    const device = openDevice(keep, () => "one");
    expect([device.nextSeq(), device.nextSeq()]).toEqual([1, 2]);
  });
});
