import { useEffect, useRef, useState } from "preact/hooks";
import { inWords, type Problem } from "../core/problem";
import { Heading } from "./heading";
import { usePortal } from "./use-portal";

const DEMO_ACCOUNTS = [
  { email: "ada@tidewater.example", who: "Ada, a learner" },
  { email: "ben@tidewater.example", who: "Ben, an administrator" },
];
const DEMO_PASSWORD = "holdfast-demo";

export function SignInPage() {
  return (
    <div class="sign-in">
      <Heading title="Sign in" />
      <SignInForm />
    </div>
  );
}

/** With an e-mail already known, the password is what is asked for. */
export function SignInForm({ email: firstEmail = "", onDone }: { email?: string; onDone?: () => void }) {
  const { session, health } = usePortal();
  const [email, setEmail] = useState(firstEmail);
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [asking, setAsking] = useState(false);
  const passwordField = useRef<HTMLInputElement>(null);

  useEffect(() => {
    if (firstEmail) passwordField.current?.focus();
  }, [firstEmail]);

  async function submit(event: Event) {
    event.preventDefault();
    if (asking) return;
    setAsking(true);
    setProblem(undefined);
    const failed = await session.signIn(email.trim(), password);
    setAsking(false);
    setProblem(failed);
    if (failed) passwordField.current?.select();
    else onDone?.();
  }

  return (
    <>
      <form onSubmit={submit}>
        <label class="field">
          E-mail
          <input
            type="email"
            name="email"
            autocomplete="username"
            required
            value={email}
            onInput={(event) => setEmail(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          Password
          <input
            ref={passwordField}
            type="password"
            name="password"
            autocomplete="current-password"
            required
            value={password}
            onInput={(event) => setPassword(event.currentTarget.value)}
          />
        </label>
        <p class="form-problem" role="alert">
          {problem && wordsOf(problem)}
        </p>
        <button type="submit" disabled={asking}>
          {asking ? "Signing in…" : "Sign in"}
        </button>
      </form>
      {health.service.value.health?.demo && (
        <section class="demo-accounts" aria-label="Accounts of the demonstration">
          <p>
            This is a demonstration. The password of each account is <code>{DEMO_PASSWORD}</code>.
          </p>
          <ul>
            {DEMO_ACCOUNTS.map((account) => (
              <li key={account.email}>
                <button
                  type="button"
                  class="quiet"
                  onClick={() => {
                    setEmail(account.email);
                    setPassword(DEMO_PASSWORD);
                  }}
                >
                  {account.who}
                </button>{" "}
                <code>{account.email}</code>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function wordsOf(problem: Problem): string {
  if (problem.code === "wrong_credentials") return "E-mail or password is not right.";
  return `${inWords(problem)} ${problem.hint}`.trim();
}
