import { describe, expect, it } from "vitest";
import { crc32 } from "../core/crc32";
import { batchText } from "./batch";

const DEVICE = { deviceId: "device-1", generation: 1 };

function event(id: string, bodyText: string) {
  return {
    id,
    kind: "lesson.completed" as const,
    seq: 4,
    orgId: "org-1",
    occurredAt: "2031-01-01T00:00:00.000Z",
    bodyText,
  };
}

describe("the text of a batch", () => {
  it("is JSON of the agreed shape", () => {
    expect(JSON.parse(batchText(DEVICE, [event("a", '{"courseId":"c","lessonId":"l"}')]))).toEqual({
      deviceId: "device-1",
      generation: 1,
      events: [
        {
          id: "a",
          kind: "lesson.completed",
          version: 1,
          seq: 4,
          orgId: "org-1",
          occurredAt: "2031-01-01T00:00:00.000Z",
          checksum: crc32('{"courseId":"c","lessonId":"l"}'),
          body: { courseId: "c", lessonId: "l" },
        },
      ],
    });
  });

  it("carries each body byte for byte, so that its checksum holds", () => {
    // Written again by a JSON library, both would read differently: the spaces, the 1.0, the escape.
    const odd = '{ "a" : 1.0, "b":"\\u00e9" }';
    const text = batchText(DEVICE, [event("a", odd), event("b", "{}")]);
    expect(text).toContain(`"checksum":"${crc32(odd)}","body":${odd}}`);
    expect(JSON.parse(text).events).toHaveLength(2);
  });
});
