import { expect, it } from "vitest";
import { touchedBy } from "./touched";

it("an event makes its lesson, its course and the lists old, each named once", () => {
  const payload = JSON.stringify({ courseId: "a b", lessonId: "l" });
  expect(touchedBy([{ payload }, { payload }, { payload: '{"courseId":"c"}' }, { payload: "{" }])).toEqual([
    "/api/client/courses",
    "/api/client/progress",
    "/api/client/courses/a%20b",
    "/api/client/courses/a%20b/lessons/l",
    "/api/client/courses/c",
  ]);
});
