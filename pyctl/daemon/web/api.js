// Calls of the interface. The token is kept for this tab only, and is sent in a header only.

const KEY = "dm-remap-token";
// Seconds without a sign of life after which a stream is dead; the daemon gives one every 15.
const SILENCE = 40;

// `status` is that of the answer, 0 if there was none; `wait` is how many seconds to wait.
export class Failure extends Error {
  constructor(status, message, hint = "", wait = 0) {
    super(hint ? `${message} ${hint}` : message);
    this.status = status;
    this.wait = wait;
  }
}

export const token = () => sessionStorage.getItem(KEY);
export const keep = (value) => sessionStorage.setItem(KEY, value);
export const forget = () => sessionStorage.removeItem(KEY);

async function request(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      ...options,
      cache: "no-store",
      credentials: "omit",
      headers: { Authorization: `Bearer ${token()}`, ...options.headers },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "The daemon does not answer.");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Failure(
    answer.status,
    said.message ?? `The answer is ${answer.status}.`,
    said.hint,
    Number(answer.headers.get("Retry-After") ?? 0),
  );
}

async function json(path, options) {
  const answer = await request(path, options);
  try {
    return await answer.json();
  } catch {
    throw new Failure(0, "The daemon has not answered to the end.");
  }
}

export const get = (path, query = {}) => {
  const words = new URLSearchParams(query).toString();
  return json(words ? `${path}?${words}` : path);
};

export const post = (path, body) =>
  json(path, {
    method: "POST",
    body: body ? JSON.stringify(body) : undefined,
    headers: body ? { "Content-Type": "application/json" } : {},
  });

export const remove = (path) => json(path, { method: "DELETE" });

// Hear events behind a number until the stream ends; `opened` when it has begun.
// (An EventSource cannot send a token but in its address.)
export async function listen(after, signal, opened, heard) {
  const ending = new AbortController();
  const end = () => ending.abort();
  signal.addEventListener("abort", end, { once: true });
  let timer = setTimeout(end, SILENCE * 1000);
  try {
    const answer = await request("/v1/events/stream", {
      signal: ending.signal,
      headers: { "Last-Event-ID": String(after) },
    });
    opened();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(end, SILENCE * 1000);
      text += value;
      const parts = text.split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").find((line) => line.startsWith("data: "));
        if (data) heard(JSON.parse(data.slice(6)));
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}
