import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { unreachable } from "../core/problem";
import type { Answer } from "../wire/client";
import type { Flags } from "../wire/flags";
import { createWorkerSide, type WorkerParts } from "./worker";

class FakeWorker extends EventTarget {
  state = "installed";
  constructor(
    path: string,
    private readonly build: string | undefined,
  ) {
    super();
    this.scriptURL = `http://portal.test${path}`;
  }
  readonly scriptURL: string;
  readonly said: unknown[] = [];
  postMessage(message: { type: string }, [port]: MessagePort[]): void {
    this.said.push(message.type);
    if (message.type === "build" && this.build !== undefined) port?.postMessage(this.build);
  }
  become(state: string): void {
    this.state = state;
    this.dispatchEvent(new Event("statechange"));
  }
}

class FakeRegistration extends EventTarget {
  active: FakeWorker | null = null;
  waiting: FakeWorker | null = null;
  installing: FakeWorker | null = null;
  readonly update = vi.fn(async () => {});
  readonly sync = { register: vi.fn(async (_tag: string) => {}) };
  comes(worker: FakeWorker): void {
    this.installing = worker;
    worker.state = "installing";
    this.dispatchEvent(new Event("updatefound"));
  }
}

class FakeContainer extends EventTarget {
  controller: FakeWorker | null = null;
  registration: FakeRegistration | undefined;
  readonly broken = new Set<string>();
  readonly register = vi.fn(async (script: string, _options: unknown) => {
    if (this.broken.has(script)) throw new TypeError("the script could not be fetched");
    this.registration ??= new FakeRegistration();
    return this.registration;
  });
  getRegistration = async () => this.registration;
  control(worker: FakeWorker): void {
    this.controller = worker;
    this.dispatchEvent(new Event("controllerchange"));
  }
  get asked(): string[] {
    return this.register.mock.calls.map(([script]) => script);
  }
}

function rig(
  flags: Partial<Flags> | "offline" = {},
  container: FakeContainer | undefined = new FakeContainer(),
) {
  const answer: Answer<Flags> =
    flags === "offline"
      ? { ok: false, problem: unreachable("offline") }
      : { ok: true, value: { newWorker: true, build: "old", ...flags } };
  const parts = {
    container: container as unknown as ServiceWorkerContainer,
    clock: systemClock,
    build: "old",
    flags: vi.fn(async () => answer),
    found: vi.fn<WorkerParts["found"]>(),
    tookOver: vi.fn(),
    arrived: vi.fn(),
  };
  return { parts, container, side: createWorkerSide(parts) };
}

const settle = () => vi.advanceTimersByTimeAsync(50);

describe("which worker a browser gets", () => {
  it.each([
    [true, ["/sw.js"]],
    [false, ["/sw-static.js"]],
  ])("is the server's to say: %s", async (newWorker, scripts) => {
    const { container, side } = rig({ newWorker });
    await side.ask();
    expect(container.asked).toEqual(scripts);
    expect(container.register).toHaveBeenCalledWith(scripts[0], { scope: "/", updateViaCache: "none" });
  });

  it("is left as it is when the server can't be asked", async () => {
    const { container, side } = rig("offline");
    await side.ask();
    expect(container.asked).toEqual([]);
  });

  it("is the one for files where the new one can't be registered", async () => {
    const { container, side } = rig();
    container.broken.add("/sw.js");
    await side.ask();
    expect(container.asked).toEqual(["/sw.js", "/sw-static.js"]);
  });

  it("is the one for files where the new one can't be installed", async () => {
    const { container, side } = rig();
    await side.ask();
    const worker = new FakeWorker("/sw.js", "old");
    container.registration?.comes(worker);
    worker.become("redundant");
    await vi.waitFor(() => expect(container.asked).toEqual(["/sw.js", "/sw-static.js"]));
  });

  it("stays the new one's earlier build where a later one fails", async () => {
    const { container, side } = rig();
    container.registration = new FakeRegistration();
    container.registration.active = new FakeWorker("/sw.js", "old");
    container.broken.add("/sw.js");
    await side.ask();
    expect(container.asked).toEqual(["/sw.js"]);
  });

  it("is none, and nothing breaks, where both fail or the browser has no workers", async () => {
    const { container, side } = rig();
    container.broken.add("/sw.js").add("/sw-static.js");
    await expect(side.ask()).resolves.toBeUndefined();
    const none = rig({ build: "new" });
    none.parts.container = undefined as never;
    const without = createWorkerSide(none.parts);
    await without.ask();
    expect(without.kind.value).toBe("none");
    expect(none.parts.found).toHaveBeenCalledWith({ build: "new" });
  });

  it.each([
    ["its build", "old", ["build", "CLAIM"]],
    ["another build", "older", ["build"]],
  ])("is asked to claim a page that came too late for its claim: %s", async (_, build, said) => {
    const container = new FakeContainer();
    container.registration = new FakeRegistration();
    const worker = new FakeWorker("/sw.js", build);
    container.registration.active = worker;
    rig({}, container);
    await vi.waitFor(() => expect(worker.said).toEqual(said));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(worker.said).toEqual(said);
  });

  it("is not asked to claim a page that has it", async () => {
    const container = new FakeContainer();
    container.registration = new FakeRegistration();
    const worker = new FakeWorker("/sw.js", "old");
    container.registration.active = container.controller = worker;
    await rig({}, container).side.ask();
    expect(worker.said).toEqual([]);
  });

  it("is known by its script", async () => {
    const { container, side, parts } = rig();
    container.control(new FakeWorker("/sw.js", "old"));
    expect(side.kind.value).toBe("reading");
    expect(parts.arrived).toHaveBeenCalledOnce();
    container.control(new FakeWorker("/sw-static.js", "old"));
    expect(side.kind.value).toBe("static");
    expect(parts.arrived).toHaveBeenCalledOnce();
  });
});

describe("another build", () => {
  it("is looked for when the server says that it has one", async () => {
    const { container, side } = rig({ build: "new" });
    await side.ask();
    expect(container.registration?.update).toHaveBeenCalledOnce();
    const same = rig({ build: "old" });
    await same.side.ask();
    expect(same.container.registration?.update).not.toHaveBeenCalled();
  });

  it("is offered once its worker waits, and takes over when it is told to", async () => {
    const { container, parts, side } = rig();
    container.controller = new FakeWorker("/sw.js", "old");
    await side.ask();
    const worker = new FakeWorker("/sw.js", "new");
    container.registration?.comes(worker);
    expect(parts.found).not.toHaveBeenCalled();
    worker.become("installed");
    await vi.waitFor(() => expect(parts.found).toHaveBeenCalledOnce());
    const [next] = parts.found.mock.calls[0] ?? [];
    expect(next?.build).toBe("new");
    next?.takeOver?.();
    expect(worker.said).toEqual(["build", "SKIP_WAITING"]);
  });

  it("that waited already when the page was opened is offered too", async () => {
    const container = new FakeContainer();
    container.registration = new FakeRegistration();
    container.registration.waiting = new FakeWorker("/sw.js", "new");
    const { parts } = rig({}, container);
    await vi.waitFor(() => expect(parts.found).toHaveBeenCalledOnce());
  });

  it("that answers this tab now is told, and the same build is not", async () => {
    const container = new FakeContainer();
    container.controller = new FakeWorker("/sw.js", "old");
    const { parts } = rig({}, container);
    container.control(new FakeWorker("/sw-static.js", "old"));
    container.control(new FakeWorker("/sw.js", "new"));
    await vi.waitFor(() => expect(parts.tookOver).toHaveBeenCalledExactlyOnceWith("new"));
    expect(parts.arrived).not.toHaveBeenCalled();
  });
});

describe("asking", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is done every half hour, and not at each glance", async () => {
    const { parts, side } = rig();
    await side.ask();
    side.askIfOld();
    await settle();
    expect(parts.flags).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    side.askIfOld();
    expect(parts.flags).toHaveBeenCalledTimes(2);
    await vi.advanceTimersByTimeAsync(30 * 60_000);
    expect(parts.flags).toHaveBeenCalledTimes(3);
  });

  it("that brought no answer is done again in minutes, not in half an hour", async () => {
    const { parts, container, side } = rig("offline");
    await side.ask();
    parts.flags.mockResolvedValue({ ok: true, value: { newWorker: true, build: "old" } });
    await vi.advanceTimersByTimeAsync(6 * 60_000);
    expect(container.asked).toEqual(["/sw.js"]);
    await vi.advanceTimersByTimeAsync(6 * 60_000);
    expect(parts.flags).toHaveBeenCalledTimes(2);
  });

  it("for a sync is for the worker that can send, and a browser that knows none is no failure", async () => {
    const { container, side } = rig();
    await side.ask();
    const ada = { orgId: "tidewater", userId: "ada" };
    await side.askForSync(ada);
    expect(container.registration?.sync.register).not.toHaveBeenCalled();
    container.control(new FakeWorker("/sw.js", "old"));
    await side.askForSync(ada);
    expect(container.registration?.sync.register).toHaveBeenCalledWith("holdfast-outbox tidewater/ada");
    container.registration?.sync.register.mockRejectedValueOnce(new Error("denied"));
    await expect(side.askForSync(ada)).resolves.toBeUndefined();
    Object.assign(container.registration ?? {}, { sync: undefined });
    await expect(side.askForSync(ada)).resolves.toBeUndefined();
  });
});
