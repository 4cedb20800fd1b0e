import { useRef, useState } from "preact/hooks";
import type { Problem } from "../core/problem";
import { changePassword } from "../wire/account";
import { Heading } from "./heading";
import { usePortal } from "./use-portal";
import { sentence } from "./words";

const SHORTEST = 8;

/** What is a person's own: so far, their password. */
export function AccountPage() {
  const { session } = usePortal();
  const principal = session.session.value?.principal;
  if (principal === undefined) return null;
  return (
    <div class="sign-in">
      <Heading title="Your account" />
      <p>
        You are signed in as {principal.name}, <strong>{principal.email}</strong>.
      </p>
      <h2>Change your password</h2>
      <p class="small">You stay signed in here. Everywhere else you are signed out.</p>
      <PasswordForm email={principal.email} />
    </div>
  );
}

function PasswordForm({ email }: { email: string }) {
  const { session, wire } = usePortal();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [said, setSaid] = useState<{ done: boolean; words: string }>();
  const [asking, setAsking] = useState(false);
  const first = useRef<HTMLInputElement>(null);

  async function submit(event: Event) {
    event.preventDefault();
    if (asking) return;
    setAsking(true);
    setSaid(undefined);
    const answer = await session.change(() => changePassword(wire, current, next));
    const problem = answer.ok ? undefined : answer.problem;
    setAsking(false);
    if (problem?.family === "signIn") session.expire();
    setCurrent("");
    if (problem === undefined) setNext("");
    else first.current?.focus();
    setSaid(
      problem
        ? { done: false, words: wordsOf(problem) }
        : { done: true, words: "Your password is changed. Other devices ask for the new one." },
    );
  }

  return (
    <form onSubmit={submit}>
      {/* So that a password manager knows whose password this is. */}
      <input type="email" autocomplete="username" value={email} readOnly style={{ display: "none" }} />
      <label class="field">
        Password now
        <input
          ref={first}
          type="password"
          autocomplete="current-password"
          required
          value={current}
          onInput={(event) => setCurrent(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        New password, at least {SHORTEST} characters
        <input
          type="password"
          autocomplete="new-password"
          required
          minLength={SHORTEST}
          value={next}
          onInput={(event) => setNext(event.currentTarget.value)}
        />
      </label>
      <p class="form-problem" role="alert">
        {said && !said.done && said.words}
      </p>
      <button type="submit" disabled={asking}>
        {asking ? "Changing…" : "Change password"}
      </button>
      <p role="status">{said?.done && said.words}</p>
    </form>
  );
}

function wordsOf(problem: Problem): string {
  const words = sentence(problem.detail || problem.title);
  if (problem.family === "refused" || problem.status === 429) return words;
  // The request may have arrived though its answer did not.
  return `${words} Whether it was changed is not known: one of the two passwords is right.`;
}
