/** Which readings an event makes old. Pure. */

export function touchedBy(entries: readonly { readonly payload: string }[]): string[] {
  const paths = new Set(["/api/client/courses", "/api/client/progress"]);
  for (const { payload } of entries) {
    const { courseId, lessonId } = placeIn(payload);
    if (courseId === undefined) continue;
    const course = `/api/client/courses/${encodeURIComponent(courseId)}`;
    paths.add(course);
    if (lessonId !== undefined) paths.add(`${course}/lessons/${encodeURIComponent(lessonId)}`);
  }
  return [...paths];
}

interface Place {
  readonly courseId?: string;
  readonly lessonId?: string;
}

function placeIn(payload: string): Place {
  try {
    const { courseId, lessonId } = JSON.parse(payload);
    return {
      ...(typeof courseId === "string" && { courseId }),
      ...(typeof lessonId === "string" && { lessonId }),
    };
  } catch {
    return {};
  }
}
