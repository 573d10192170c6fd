// The server: questions, answers, what it tells by itself; and strokes that wait until they are on its disk.

export class ServerError extends Error {
  constructor(sentence, status = 0) {
    super(sentence);
    this.status = status;
  }

  get offline() {
    return this.status === 0;
  }
}

const GONE = "The server does not answer. Nothing is lost: start `oneshotseg browse` again; this page goes on by itself.";

async function answerOf(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new ServerError(GONE);
  }
  if (response.ok) return response;
  if (response.status === 401) throw new ServerError(await response.text(), 401);
  let sentence = `The server answered ${response.status}.`;
  try {
    sentence = (await response.json()).error ?? sentence;
  } catch {
    // The status is all there is to say.
  }
  throw new ServerError(sentence, response.status);
}

const asPost = (body) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
  keepalive: JSON.stringify(body).length < 60000,
});

export const get = async (url) => (await answerOf(url)).json();
export const post = async (url, body = {}) => (await answerOf(url, asPost(body))).json();

// What lies at an address, or a part of it: from a byte to another one, past the last.
export const bytes = async (url, part = null) =>
  (await answerOf(url, part ? { cache: "no-store", headers: { range: `bytes=${part[0]}-${part[1] - 1}` } } : undefined)).arrayBuffer();
export const getPacked = async (url) => unpacked(await bytes(url));
export const postPacked = async (url, body = {}) => unpacked(await (await answerOf(url, asPost(body))).arrayBuffer());

function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const described = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { ...described, voxels: new Uint8Array(buffer, 4 + length) };
}

export const casePath = (name, what) => `/api/cases/${encodeURIComponent(name)}/${what}`;

// What the server tells. When it is gone, this tries again until it is back, or until the page is locked out.
export function listen(onEvent, onGone) {
  let wait = 500;
  const connect = () => {
    const socket = new WebSocket(`ws://${location.host}/api/events`);
    socket.onmessage = (message) => {
      wait = 500;
      onEvent(JSON.parse(message.data));
    };
    socket.onclose = async () => {
      let sentence = GONE;
      try {
        await get("/api/state");
      } catch (error) {
        sentence = error.message;
      }
      onGone(sentence);
      setTimeout(connect, wait);
      wait = Math.min(wait * 1.6, 5000);
    };
  };
  connect();
}

// Strokes in the browser's own memory until the server has them: a reload or a server that was killed loses none.
export class Outbox {
  constructor(name) {
    this.key = `oneshotseg strokes ${name}`;
  }

  get waiting() {
    try {
      return JSON.parse(localStorage.getItem(this.key)) ?? [];
    } catch {
      return [];
    }
  }

  put(entry) {
    const kept = { id: crypto.randomUUID(), ...entry };
    this.write([...this.waiting, kept]);
    return kept;
  }

  remove(entry) {
    this.write(this.waiting.filter((other) => other.id !== entry.id));
  }

  write(entries) {
    try {
      localStorage.setItem(this.key, JSON.stringify(entries));
    } catch {
      // A full or forbidden memory: the stroke is sent all the same.
    }
  }
}
