// One event: its name and fields next to the pointer, and all its details in a panel.

const $ = (id) => document.getElementById(id);

/** Arguments that every message begins with: time, dt, cpu, pid, comm. */
const HEAD = 5;

const NOTES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];
const noteName = (note) => `${NOTES[((Math.round(note) % 12) + 12) % 12]}${Math.floor(Math.round(note) / 12) - 1}`;

/** The date and time of ms since 1970, to the microsecond. */
function moment(ms) {
  const micros = Math.round(ms * 1000) % 1000000;
  const time = new Date(ms).toLocaleTimeString([], { hour12: false });
  return `${time}.${String(micros).padStart(6, "0")}`;
}

/** An argument, for people. */
export function value(argument) {
  if (argument instanceof Uint8Array) return [...argument.slice(0, 64)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  if (Array.isArray(argument)) return argument.map(value).join(" ");
  // A 64-bit number with the top bit set that is not a small negative one is a kernel address.
  if (typeof argument !== "string" && argument < -(2 ** 46)) return `0x${BigInt.asUintN(64, BigInt(argument)).toString(16)}`;
  if (typeof argument === "number" && !Number.isInteger(argument)) return String(Number(argument.toPrecision(6)));
  return String(argument);
}

/** Type tags without the brackets of arrays, which are one argument each. */
function tagsOf(tags) {
  const out = [];
  let depth = 0;
  for (const tag of tags) {
    if (tag === "[") depth++ === 0 && out.push("[ ]");
    else if (tag === "]") depth--;
    else if (depth === 0) out.push(tag);
  }
  return out;
}

/** Name, tag and argument, from the argument `skip` on. */
function fields(item, skip) {
  const tags = tagsOf(item.tags ?? "");
  return (item.args ?? []).map((argument, k) => [item.schema.names[k] ?? `argument ${k + 1}`, tags[k] ?? "", argument]).slice(skip);
}

const task = (item) => (item.args[4] ? `${item.args[4]} ${item.args[3]}` : item.args[3]);

/** What a screen reader says of it. */
export function spoken(item) {
  const some = fields(item, HEAD).slice(0, 4);
  return `${item.group} ${item.event}, ${some.map(([name, , argument]) => `${name} ${value(argument)}`).join(", ")}`;
}

export class Detail {
  constructor(lanes) {
    this.lanes = lanes;
    this.tipped = null;
  }

  get shown() {
    return !$("detail").hidden;
  }

  /** Name and fields beside a point of the stage; of nothing, nothing. */
  tip(item, x, y) {
    const box = $("tip");
    box.hidden = !item;
    if (!item) return;
    if (item !== this.tipped) {
      this.tipped = item;
      box.style.setProperty("--group", item.lane.colour);
      const title = document.createElement("strong");
      title.textContent = `${item.group}:${item.event}`;
      const list = document.createElement("dl");
      const shown = item.args ? [["task", "", task(item)], ["cpu", "", item.args[2]], ...fields(item, HEAD)] : [["", "", "its message was thinned"]];
      for (const [name, , argument] of shown.slice(0, 8)) {
        const [term, text] = [document.createElement("dt"), document.createElement("dd")];
        term.textContent = name;
        text.textContent = value(argument);
        list.append(term, text);
      }
      box.replaceChildren(title, list);
    }
    const stage = $("stage");
    const left = x + 18 + box.offsetWidth > stage.clientWidth ? x - 18 - box.offsetWidth : x + 18;
    const top = Math.min(y + 12, stage.scrollTop + stage.clientHeight - box.offsetHeight - 8);
    box.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
  }

  /** All of it. */
  open(item) {
    this.lanes.selected = item;
    $("detail").hidden = false;
    $("detail").style.setProperty("--group", item.lane.colour);
    $("detail-title").textContent = `${item.group}:${item.event}`;
    const when = moment(item.ms0 ?? item.ms);
    $("detail-when").textContent = item.args ? `${when}, CPU ${item.args[2]}, ${task(item)}` : when;
    $("detail-text").textContent = item.text ?? (item.args ? "It was not sent." : "Its message was thinned: only its sound came.");
    $("detail-message").hidden = !item.args;
    $("detail-address").textContent = item.address ? `${item.address} ,${item.tags}` : "";
    $("detail-fields").replaceChildren(
      ...fields(item, 0).map(([name, tag, argument], k) => {
        const row = document.createElement("tr");
        const shown = k === 0 ? `${(argument / 1000).toFixed(6)} s` : name === "dt" ? `${value(argument)} ms` : value(argument);
        for (const text of [name, tag, shown]) {
          const cell = document.createElement("td");
          cell.textContent = text;
          row.append(cell);
        }
        return row;
      }),
    );
    $("detail-hit").hidden = !item.hit;
    if (item.hit) {
      const { form, note, length, level, pan } = item.hit;
      const side = Math.abs(pan) < 0.1 ? "in the middle" : `${Math.round(Math.abs(pan) * 100)} % ${pan < 0 ? "left" : "right"}`;
      const long = length < 1000 ? `${Math.round(length)} ms` : `${(length / 1000).toFixed(1)} s`;
      $("detail-heard").textContent = `${form === 0 ? "A note" : "A grain"}, ${noteName(note)}, ${long}, level ${level.toFixed(2)}, ${side}`;
    }
  }

  close() {
    $("detail").hidden = true;
    this.lanes.selected = null;
  }
}
