// The page: connects, decodes, and passes messages to the lanes, the sound and the controls.
//
// Text from the kernel enters the document only as textContent.

import { Detail, spoken } from "./detail.js";
import { read, write } from "./osc.js";
import { Lanes } from "./lanes.js";
import { LATENCY, Sound } from "./sound.js";

const $ = (id) => document.getElementById(id);
const lanes = new Lanes($("field"), $("stage"));
const sound = new Sound();
const schemas = new Map();
const totals = { messages: 0, hits: 0, frames: 0, pageLost: 0, heard: 0, drawn: 0, drawing: 0 };
let replay = null;
/** A kernel that is traced now: whether it is paused; null for a replay. */
let live = null;
let socket = null;
/** What is traced. */
let host = "connected";
/** What addresses begin with; said by the first message. */
let prefix = "/ftrace";
let last = null;
let calm = 0.5;

// ---- Time ----------------------------------------------------------------------------------------------------------
// Bundles carry the time of the machine that traces. Its difference from our clock is taken from the bundles with the
// shortest delay, so that a page on another machine is in time as well.
const delays = [Infinity, Infinity];
let turned = 0;
let offset = 0;

function arrived(ms) {
  const now = Date.now();
  if (now - turned > 5000) {
    turned = now;
    delays[1] = delays[0];
    delays[0] = Infinity;
  }
  delays[0] = Math.min(delays[0], performance.timeOrigin + performance.now() - ms);
  const least = Math.min(...delays);
  // Small changes are followed slowly: a jump would be audible.
  offset = Math.abs(least - offset) > 100 ? least : offset + (least - offset) * 0.05;
}

/** The time on the tracing machine's clock of what is heard now, ms. */
const clock = () => performance.timeOrigin + performance.now() - offset - LATENCY;

// ---- Messages ------------------------------------------------------------------------------------------------------
function connect() {
  socket = new WebSocket(`ws://${location.host}/`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    socket.send(location.hash.slice(1));
  };
  socket.onmessage = ({ data }) => {
    totals.frames++;
    read(data, message);
    // Here, not in the next frame: a page in the background is not drawn but is heard.
    sound.flush();
  };
  socket.onclose = () => {
    state("gone", location.hash.length < 2 ? "this URL has no token: open it as it was printed" : "the stream has ended; trying again");
    sound.clear();
    setTimeout(connect, 2000);
  };
}

const about = {
  start([name, cpus]) {
    host = `${name}, ${cpus} ${cpus === 1 ? "CPU" : "CPUs"}`;
    state("live", host);
    notify();
  },
  schema([address, tags, names]) {
    const parts = address.split("/");
    // Signals have longer addresses than events; they are for other clients.
    if (parts.length > prefix.split("/").length + 2) return;
    schemas.set(address, { tags, names: names ? names.split(" ") : [], group: parts.at(-2), event: parts.at(-1) });
  },
  stat([events, , thinned, kernelLost, malformed, , seconds]) {
    const rate = (count) => short(count / (seconds || 1));
    $("n-read").textContent = rate(events);
    $("n-thinned").textContent = rate(thinned);
    lost(kernelLost + malformed);
    if ($("status").textContent === "connecting") state("live", host);
  },
  page([, dropped]) {
    beat();
    totals.pageLost += dropped;
    lost(0, dropped);
  },
  replay([at, length, speed, paused, repeat]) {
    const before = replay;
    const told = performance.now();
    const pausedAt = before?.paused ? before.pausedAt : told;
    if (!paused) goOn();
    replay = { at, said: at, length, speed, paused: !!paused, repeat: !!repeat, told, pausedAt };
    transport();
  },
  hit([name, form, timbre, note, level, length, pan, brightness], ms) {
    const colon = name.indexOf(":");
    const hit = { event: name, form, timbre, note, level, length, pan, brightness, ms, group: name.slice(0, colon), name: name.slice(colon + 1) };
    arrived(ms);
    totals.hits++;
    lanes.hit(hit);
    if (form !== 2) totals.heard++;
    if (!lanes.hears(lanes.lane(hit.group)) || !wanted(hit)) return;
    sound.play({ event: name, form, timbre, note, level: hit.level * louder(form), length, pan, brightness }, ms - clock());
  },
  text([ms, text]) {
    if (last && Math.abs(last.ms0 - ms) < 1e-3) last.text = text;
  },
  stop() {
    state("gone", "the stream has ended");
    sound.clear();
  },
};

// Messages to this page only: answers, and the state of the stream.
const answered = {
  ok([address]) {
    told(`${address.slice(prefix.length + 9)}: done`);
  },
  error([, why]) {
    told(why, true);
  },
  events(names) {
    told(names.join(" "));
  },
  value([, ...values]) {
    told(values.join(" "));
  },
  state([, length, , paused]) {
    // A replay sends more about itself, to all clients.
    if (replay || length) return;
    if (live?.paused !== !!paused) state("live", paused ? `${host}, paused: the kernel records nothing` : host);
    live = { paused: !!paused };
    transport();
  },
};

/** For a minute; it is said again before that is over. */
const notify = () => command("notify", 1);
setInterval(notify, 30000);

function told(words, wrong) {
  if (words === "notify: done") return;
  $("told").textContent = words;
  $("told").classList.toggle("bad", !!wrong);
}

// The server sends a sign of life once a second, and the light blinks.
let beaten = performance.now();
function beat() {
  beaten = performance.now();
  const light = $("light");
  light.classList.remove("beat");
  // Computing the style in between restarts the animation.
  void light.offsetWidth;
  light.classList.add("beat");
  if (document.body.dataset.state === "quiet") state("live", host);
}

const losses = { kernel: 0, page: 0 };
function lost(kernel, page) {
  losses.kernel = kernel;
  if (page !== undefined) losses.page = page;
  const sum = losses.kernel + losses.page;
  $("n-lost").textContent = short(sum);
  $("n-lost").parentElement.classList.toggle("bad", sum > 0);
}

function message(address, tags, args, ms) {
  const slash = address.lastIndexOf("/");
  const name = address.slice(slash + 1);
  if (name === "start" && !schemas.has(address)) prefix = address.slice(0, slash);
  // Messages about the stream are directly below the prefix; events have longer addresses.
  if (slash === prefix.length && address.startsWith(prefix)) return about[name]?.(args, ms ?? Date.now());
  if (address.startsWith(`${prefix}/control/`)) return answered[name]?.(args);
  const schema = schemas.get(address);
  if (!schema) return;
  totals.messages++;
  ms ??= args[0];
  arrived(ms);
  last = { group: schema.group, event: schema.event, address, args, tags, ms, ms0: args[0], schema, text: null };
  lanes.add(last);
}

// The knob, 0 calm to 1 detail: calm drops faint and short hits; detail keeps all.
const wanted = (hit) => hit.level === 0 || hit.form === 2 || hit.level > Math.max(0, 0.5 - calm) * 0.4 * (hit.form + 1);
const louder = (form) => (form === 2 ? 0.5 + calm : form === 1 ? Math.min(1.2, 0.4 + calm * 1.2) : 1);

// ---- Display -------------------------------------------------------------------------------------------------------
function short(number) {
  if (number >= 1e6) return `${(number / 1e6).toFixed(1)} M`;
  if (number >= 1e4) return `${(number / 1e3).toFixed(0)} k`;
  return number < 10 && number % 1 ? number.toFixed(1) : number.toFixed(0);
}

function state(name, words) {
  document.body.dataset.state = name;
  $("status").textContent = words;
}

const clockText = (seconds) => {
  const digits = replay?.length < 3 ? 2 : 1;
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(digits).padStart(3 + digits, "0")}`;
};

const SPEEDS = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10];
for (const speed of SPEEDS) $("speed").add(new Option(speed < 1 ? `1/${Math.round(1 / speed)}` : `${speed} ×`, speed));

let seeking = false;
function transport() {
  $("transport").hidden = false;
  const { paused } = replay ?? live;
  // A live trace has no speed and no position.
  $("transport").classList.toggle("live", !replay);
  $("play").setAttribute("aria-label", paused ? "Play" : "Pause");
  $("play-shape").setAttribute("d", paused ? "M8 5v14l11-7z" : "M7 5h4v14H7zM13 5h4v14h-4z");
  if (!replay) return;
  $("length").textContent = clockText(replay.length);
  $("loop").setAttribute("aria-pressed", replay.repeat);
  const known = SPEEDS.find((speed) => Math.abs(speed - replay.speed) < speed * 1e-3);
  if (document.activeElement !== $("speed")) {
    if (known === undefined && !$("speed").querySelector("[data-other]")) {
      const option = new Option(`${replay.speed} ×`, replay.speed);
      option.dataset.other = "";
      $("speed").add(option);
    }
    $("speed").value = known ?? replay.speed;
  }
}

function position() {
  if (!replay || seeking) return;
  const since = replay.paused ? 0 : ((performance.now() - replay.told) / 1000) * replay.speed;
  const at = Math.min(replay.length, replay.at + since);
  $("at").textContent = clockText(at);
  $("seek").value = replay.length ? (1000 * at) / replay.length : 0;
  $("seek").setAttribute("aria-valuetext", `${at.toFixed(1)} of ${replay.length.toFixed(1)} seconds`);
}

function command(name, ...args) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(write(`${prefix}/control/${name}`, ...args));
}

// ---- Groups --------------------------------------------------------------------------------------------------------
const heads = new Map();
lanes.changed = () => {
  for (const lane of lanes.lanes.values()) {
    let head = heads.get(lane);
    if (!head) {
      const item = document.createElement("li");
      const name = document.createElement("div");
      const word = document.createElement("span");
      name.className = "name";
      word.textContent = lane.group;
      name.append(word);
      const rate = document.createElement("div");
      rate.className = "rate";
      const keys = document.createElement("div");
      keys.className = "keys";
      const key = (letter, label, press) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = letter;
        button.setAttribute("aria-label", `${label} ${lane.group}`);
        button.title = `${label} ${lane.group}`;
        button.onclick = press;
        keys.append(button);
        return button;
      };
      head = { item, rate };
      head.mute = key("M", "Mute", () => mute(lane));
      head.solo = key("S", "Play alone", () => solo(lane));
      item.append(name, rate, keys);
      $("heads").append(item);
      heads.set(lane, head);
    }
    head.item.style.top = `${lane.top}px`;
    head.item.style.height = `${lanes.laneHeight}px`;
    head.item.style.setProperty("--group", lane.colour);
    head.mute.setAttribute("aria-pressed", lane.muted);
    head.solo.setAttribute("aria-pressed", lane.solo);
    head.item.classList.toggle("off", !lanes.hears(lane));
  }
};

function silenceUnheard() {
  const events = [];
  for (const lane of lanes.lanes.values()) if (!lanes.hears(lane)) for (const event of lane.rows.keys()) events.push(`${lane.group}:${event}`);
  if (events.length) sound.mute(events);
  lanes.changed();
}

function mute(lane) {
  lane.muted = !lane.muted;
  silenceUnheard();
}

function solo(lane) {
  lane.solo = !lane.solo;
  silenceUnheard();
}

setInterval(() => {
  for (const lane of lanes.lanes.values()) {
    lane.rate = lane.count;
    lane.count = 0;
    const head = heads.get(lane);
    if (head) head.rate.textContent = lane.rate ? `${short(lane.rate)} a second` : "quiet";
  }
  const silent = Math.round((performance.now() - beaten) / 1000);
  if (silent > 3 && document.body.dataset.state !== "gone") state("quiet", `nothing from there for ${silent} s`);
  $("n-heard").textContent = short(totals.heard);
  totals.heard = 0;
  if (sound.recording) {
    $("record-word").textContent = `${Math.floor(sound.recordedSeconds())} s`;
    if (sound.recordingFull) record();
  }
}, 1000);

// ---- One event -----------------------------------------------------------------------------------------------------
const detail = new Detail(lanes);
function open(item) {
  if (!item) return;
  detail.open(item);
  $("say").textContent = item.text ?? spoken(item);
}

function select(item) {
  if (!item) return;
  lanes.selected = item;
  if (detail.shown) detail.open(item);
  $("say").textContent = spoken(item);
}

const field = $("field");
const point = (event) => {
  const box = field.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};
let pointer = null;
field.onpointermove = (event) => (pointer = point(event));
field.onpointerleave = () => {
  pointer = null;
  detail.tip(null);
};
field.onclick = (event) => open(lanes.at(...point(event)));
$("detail-close").onclick = () => detail.close();

// ---- Controls ------------------------------------------------------------------------------------------------------
async function listen(on) {
  if (on) await sound.start();
  else await sound.stop();
  $("welcome").hidden = true;
  $("listen").setAttribute("aria-pressed", sound.on);
  $("listen-word").textContent = sound.on ? "Listening" : "Listen";
}

async function record() {
  if (!sound.recording) {
    await listen(true);
    sound.record();
    $("record").setAttribute("aria-pressed", true);
    $("record-word").textContent = "0 s";
    return;
  }
  const wav = await sound.save();
  $("record").setAttribute("aria-pressed", false);
  $("record-word").textContent = "Record";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(wav);
  link.download = `ftrace-live-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.wav`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// The system's setting, until the user chooses.
const light = matchMedia("(prefers-color-scheme: light)");
function theme(name) {
  document.documentElement.dataset.theme = name;
  lanes.layout();
}
function flip() {
  theme(document.documentElement.dataset.theme === "light" ? "dark" : "light");
  try {
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  } catch {
    // Without storage the choice is not remembered.
  }
}
function chosen() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}
light.onchange = () => chosen() ?? theme(light.matches ? "light" : "dark");

$("start").onclick = () => {
  listen(true);
  field.focus({ preventScroll: true });
};
$("listen").onclick = () => listen(!sound.on);
$("record").onclick = record;
$("theme").onclick = flip;
$("volume").oninput = ({ target }) => sound.setVolume(target.value / 100);
$("calm").oninput = ({ target }) => (calm = target.value / 100);
const pause = () => (replay || live) && command((replay ?? live).paused ? "resume" : "pause");
const again = () => replay && command("loop", replay.repeat ? 0 : 1);
$("play").onclick = pause;
$("loop").onclick = again;
$("speed").onchange = ({ target }) => command("speed", Number(target.value));
$("seek").oninput = ({ target }) => {
  seeking = true;
  $("at").textContent = clockText((replay.length * target.value) / 1000);
};
$("seek").onchange = ({ target }) => {
  seeking = false;
  command("seek", (replay.length * target.value) / 1000);
  sound.clear();
  // Until the replay confirms it.
  replay.at = (replay.length * target.value) / 1000;
  replay.told = performance.now();
};

// A command line as in docs/WIRE.md: `enable exceptions`, `solo irq`, `rate 500`, `filter softirq_entry vec == 1`.
$("desk").onsubmit = (event) => {
  event.preventDefault();
  const [word, ...rest] = $("tell").value.trim().split(/\s+/);
  if (!word) return;
  const number = (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
  const args = word === "filter" ? [rest[0] ?? "", rest.slice(1).join(" ")] : rest.map(number);
  told("…");
  command(word.replace(/[^a-z]/g, "_"), ...args);
  $("tell").select();
};

function tell(shown) {
  $("desk").hidden = !shown;
  if (shown) $("tell").focus();
  else field.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  if (event.target === $("tell")) {
    if (event.key === "Escape") tell(false);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(input|select|button)$/i.test(event.target.tagName);
  const onField = event.target === field || event.target === document.body;
  const keys = {
    t: flip, r: record, l: again,
    Escape: () => detail.close(),
    ":": () => tell(true),
    " ": typing ? null : pause,
    m: () => mute(lanes.selected?.lane ?? [...lanes.lanes.values()][0]),
    s: () => solo(lanes.selected?.lane ?? [...lanes.lanes.values()][0]),
    ArrowLeft: onField && (() => select(lanes.step(-1, 0))),
    ArrowRight: onField && (() => select(lanes.step(1, 0))),
    ArrowUp: onField && (() => select(lanes.step(0, -1))),
    ArrowDown: onField && (() => select(lanes.step(0, 1))),
    Enter: onField && (() => (lanes.selected ? open(lanes.selected) : listen(!sound.on))),
  };
  const press = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (press) {
    event.preventDefault();
    press();
  }
});

// ---- Every frame ---------------------------------------------------------------------------------------------------
const scope = $("scope").getContext("2d");
const samples = new Float32Array(1024);
function drawScope() {
  const { width, height } = scope.canvas;
  scope.clearRect(0, 0, width, height);
  scope.strokeStyle = lanes.colours?.accent ?? "#7ce0c3";
  scope.lineWidth = 1.5;
  scope.beginPath();
  if (sound.on) {
    sound.analyser.getFloatTimeDomainData(samples);
    // Start at an upward zero crossing, so that the picture is steady.
    let from = 1;
    while (from < 500 && !(samples[from - 1] < 0 && samples[from] >= 0)) from++;
    for (let x = 0; x <= width; x++) scope.lineTo(x, height / 2 - samples[from + Math.floor((x / width) * 500)] * height * 0.9);
  } else {
    scope.moveTo(0, height / 2);
    scope.lineTo(width, height / 2);
  }
  scope.stroke();
}

// While a replay is paused, the lanes stop too, once the events on their way have been heard.
const SETTLES = 400;
let stands = null;
function shown() {
  if (replay?.paused && performance.now() - replay.pausedAt > SETTLES) stands ??= clock();
  return stands ?? clock();
}
function goOn() {
  if (stands !== null) lanes.shift(clock() - stands);
  stands = null;
}

function frame() {
  const began = performance.now();
  lanes.draw(shown());
  $("nothing").hidden = lanes.lanes.size > 0 || !$("welcome").hidden;
  position();
  drawScope();
  if (pointer) detail.tip(lanes.at(...pointer), ...pointer);
  totals.drawing += performance.now() - began;
  totals.drawn++;
  requestAnimationFrame(frame);
}
theme(chosen() ?? (light.matches ? "light" : "dark"));
connect();
requestAnimationFrame(frame);

/** For the tests, and for who wants to look inside. */
globalThis.ftraceLive = { lanes, sound, totals, schemas, command, detail, get replay() { return replay; }, get stands() { return stands !== null && lanes.clock === stands; } };
