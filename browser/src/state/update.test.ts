import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { keepIn } from "./keep";
import { createUpdate, type Message, type Update, type UpdateParts } from "./update";

/** Tabs of one browser, and a worker that lets itself be told to take over. */
function browser() {
  const tabs: {
    update: Update;
    frozen: boolean;
    parts: UpdateParts;
    reloads: () => number;
    saves: () => number;
  }[] = [];
  const takeOver = vi.fn(() => {
    for (const { update, frozen } of tabs) if (!frozen) void update.tookOver("new");
  });

  function open(more: Partial<UpdateParts> & { frozen?: boolean } = {}) {
    const memory = new Map<string, string>();
    const tabKeep = keepIn(
      () =>
        ({
          getItem: (key: string) => memory.get(key) ?? null,
          setItem: (key: string, value: string) => void memory.set(key, value),
          removeItem: (key: string) => void memory.delete(key),
        }) as Storage,
    );
    let number = 0;
    const me = tabs.length;
    const parts = {
      build: "old",
      clock: systemClock,
      mintId: () => `${me}-${number++}`,
      channel: {
        postMessage(message: Message) {
          tabs.forEach(({ update, frozen }, at) => {
            if (at !== me && !frozen) void update.hear(message);
          });
        },
      },
      tabKeep,
      sending: () => false,
      atRisk: () => false,
      idle: () => false,
      ...more,
      saveScreen: vi.fn(),
      reload: vi.fn(),
    };
    const update = createUpdate(parts);
    const tab = {
      update,
      parts,
      frozen: more.frozen ?? false,
      reloads: () => parts.reload.mock.calls.length,
      saves: () => parts.saveScreen.mock.calls.length,
    };
    tabs.push(tab);
    return tab;
  }
  const found = () => Promise.all(tabs.map(({ update }) => update.found({ build: "new", takeOver })));
  return { open, found, takeOver };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("from one build to the next", () => {
  it("nothing happens before somebody says so", async () => {
    const { open, found, takeOver } = browser();
    const [one, other] = [open(), open()];
    await found();
    expect(one.update.state.value).toEqual({ name: "ready", build: "new" });
    await pass(3_600_000);
    expect(takeOver).not.toHaveBeenCalled();
    expect(one.reloads() + other.reloads()).toBe(0);
  });

  it("one yes has every tab take its screen down and reload, once", async () => {
    const { open, found, takeOver } = browser();
    const [one, other] = [open(), open()];
    await found();
    void one.update.accept();
    void one.update.accept();
    await pass(60_000);
    expect(takeOver).toHaveBeenCalledOnce();
    for (const { reloads, saves } of [one, other]) {
      expect(reloads()).toBe(1);
      expect(saves()).toBeGreaterThan(0);
    }
  });

  it("no tab reloads while any of them is sending", async () => {
    const { open, found, takeOver } = browser();
    let sending = true;
    const [one, other] = [open(), open({ sending: () => sending })];
    await found();
    void one.update.accept();
    await pass(20_000);
    expect(takeOver).not.toHaveBeenCalled();
    sending = false;
    await pass(1_000);
    expect([one.reloads(), other.reloads()]).toEqual([1, 1]);
  });

  it("says that it waits, in the tab where somebody said yes", async () => {
    const { open, found } = browser();
    const one = open({ sending: () => true });
    await found();
    void one.update.accept();
    await pass(1_000);
    expect(one.update.state.value).toEqual({ name: "updating", build: "new", waits: true });
  });

  it("a tab never reloads while something is in its page only, however long that takes", async () => {
    const { open, found } = browser();
    let atRisk = true;
    const [one, other] = [open(), open({ atRisk: () => atRisk })];
    await found();
    void one.update.accept();
    await pass(3_600_000);
    expect([one.reloads(), other.reloads()]).toEqual([1, 0]);
    atRisk = false;
    await pass(1_000);
    expect(other.reloads()).toBe(1);
  });

  it("a frozen tab holds nobody up", async () => {
    const { open, found, takeOver } = browser();
    const one = open();
    open({ frozen: true });
    await found();
    void one.update.accept();
    await pass(2_000);
    expect(takeOver).toHaveBeenCalledOnce();
  });

  it("a tab that said it is there and then went is not waited for", async () => {
    const { open, found, takeOver } = browser();
    const [one, other] = [open(), open({ sending: () => true })];
    await found();
    void one.update.accept();
    await pass(2_000);
    expect(takeOver).not.toHaveBeenCalled();
    other.frozen = true;
    other.update.leave();
    await pass(1_000);
    expect(takeOver).toHaveBeenCalledOnce();
  });

  it("a reload that brought the old build back is not tried again", async () => {
    const { open, found } = browser();
    const one = open();
    await found();
    await one.update.tookOver("new");
    expect(one.reloads()).toBe(1);
    const after = open({ tabKeep: one.parts.tabKeep });
    await after.update.tookOver("new");
    expect(after.reloads()).toBe(0);
    await after.update.tookOver("newer");
    expect(after.reloads()).toBe(1);
  });

  it("a worker of the same build takes over with no word and no reload", async () => {
    const { open } = browser();
    const [one, other] = [open(), open()];
    const takeOver = vi.fn();
    void one.update.found({ build: "old", takeOver });
    await pass(1_000);
    expect(takeOver).toHaveBeenCalledOnce();
    await other.update.tookOver("old");
    expect([one.update.state.value.name, other.reloads()]).toEqual(["none", 0]);
  });

  it("but not while another tab is of another build: that one is asked first", async () => {
    const { open } = browser();
    const one = open({ build: "new" });
    open();
    const takeOver = vi.fn();
    void one.update.found({ build: "new", takeOver });
    await pass(1_000);
    expect(takeOver).not.toHaveBeenCalled();
  });

  it("later means until the next build", async () => {
    const { open, found } = browser();
    const one = open();
    await found();
    one.update.later();
    await found();
    expect(one.update.state.value).toEqual({ name: "none" });
    await one.update.found({ build: "newer" });
    expect(one.update.state.value).toEqual({ name: "ready", build: "newer" });
  });

  it("comes by itself when nobody looks at any tab, and not while somebody looks at one", async () => {
    const { open, found, takeOver } = browser();
    let looks = true;
    const [one] = [open({ idle: () => true }), open({ idle: () => !looks })];
    await found();
    void one.update.whenNobodyLooks();
    await pass(5_000);
    expect(takeOver).not.toHaveBeenCalled();
    looks = false;
    void one.update.whenNobodyLooks();
    await pass(5_000);
    expect(takeOver).toHaveBeenCalledOnce();
  });

  it("needs no worker: then a reload is enough, in every tab", async () => {
    const { open } = browser();
    const [one, other] = [open(), open()];
    await one.update.found({ build: "new" });
    void one.update.accept();
    await pass(5_000);
    expect([one.reloads(), other.reloads()]).toEqual([1, 1]);
  });

  it("can be asked for again when the worker does not take over", async () => {
    const { open } = browser();
    const one = open();
    await one.update.found({ build: "new", takeOver: () => {} });
    void one.update.accept();
    await pass(60_000);
    expect([one.update.state.value.name, one.reloads()]).toEqual(["ready", 0]);
  });
});
