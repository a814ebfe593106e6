"use strict";
// The page of a table by module. Its data are one JSON text, deflated and in base64, made by page.py. Every text in them is untrusted:
// it reaches the document through textContent alone.
(async () => {
  const started = performance.now();
  const $ = (id) => document.getElementById(id);
  const ROW = 26; // pixels of one level
  const PAGE = 100; // rows of a table that are shown at a time
  const SOURCES = ["exported", "matched", "aligned", "inherited", "root"];
  // Okabe and Ito's colours, which differ for all kinds of colour vision.
  const SOURCE_COLOURS = ["#0072b2", "#56b4e9", "#f0e442", "#e69f00", "#d55e00"];
  const CLASS_COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#d55e00", "#9ad0c2", "#c9b1e0"];
  const PLAIN = "#c6ccd3";
  const UNTAGGED = "#8a9199";
  const RAMPS = {
    worse: ["#fbf3dd", "#f2bb4b", "#d55e00", "#7d2f00"],
    plain: ["#e9f2fa", "#8cc6ea", "#2a7fb8", "#00375c"],
    change: ["#0072b2", "#8cc0de", "#eceef0", "#eda97c", "#d55e00"],
  };

  // --- data ---

  async function unpacked(id) {
    const text = $(id).textContent.trim();
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  const data = await unpacked("data");
  const { columns, classes } = data;
  const up = data.up; // module to the one around it, -1 for none
  const count = up.length;
  const children = Array.from({ length: count }, () => []);
  const tops = [];
  const paths = new Array(count);
  const depths = new Uint16Array(count);
  for (let at = 0; at < count; at++) {
    if (up[at] < 0) tops.push(at);
    else {
      children[up[at]].push(at);
      depths[at] = depths[up[at]] + 1;
    }
    // A path is stored without that of the module around it.
    const above = up[at] < 0 ? "" : paths[up[at]];
    const rest = data.paths[at];
    paths[at] = rest.startsWith("/") || !above ? rest : above + "." + rest;
  }
  const shown = (at) => (at < 0 ? "(no tag)" : paths[at] || "(root)");
  const classOf = (at) => (data.class[at] < 0 ? "" : classes[data.class[at]]);

  function upwards(own) {
    const total = Array.from(own);
    for (let at = count - 1; at >= 0; at--) if (up[at] >= 0) total[up[at]] += total[at];
    return total;
  }
  const cells = data.cells.map((cell) => ({ ...cell, total: cell.total || upwards(cell.own) }));
  const place = new Map(columns.map((column, at) => [column.name, at]));

  // Nodes are a text of their own, read once the modules are drawn.
  const hasNodes = Boolean(data.sources);
  let nodes = null;
  let originsOf = new Map();
  const nodesOf = Array.from({ length: count }, () => []);
  const untagged = [];
  const sources = SOURCES.map((name, at) => {
    if (hasNodes) return upwards(data.sources[at]);
    return place.has(name) ? cells[place.get(name)].total : new Array(count).fill(0);
  });
  async function readNodes() {
    nodes = await unpacked("node-data");
    let here = 0;
    nodes.module = nodes.steps.map((step) => (here += step));
    nodes.module.forEach((module, node) => (module < 0 ? untagged : nodesOf[module]).push(node));
    originsOf = new Map(nodes.origins);
  }
  const withSources = hasNodes || SOURCES.every((name) => place.has(name));

  // --- words ---

  function number(value, unit) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    const scaled = { B: [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]], "µs": [[1e6, "s"], [1e3, "ms"], [1, "µs"]] }[unit];
    if (scaled) {
      const [by, name] = scaled.find(([least]) => size >= least) || scaled[scaled.length - 1];
      return `${digits(value / by)} ${name}`;
    }
    return unit ? `${digits(value)} ${unit}` : digits(value);
  }
  function digits(value) {
    if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en").replace(/,/g, "\u2009");
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(size >= 100 ? 4 : 3)));
  }
  const titled = (column) => (column.unit ? `${column.name} (${column.unit})` : column.name);
  const many = (number, noun) => `${digits(number)} ${noun}${number === 1 ? "" : "s"}`;

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // --- patterns, as onnx_tagger.hierarchy.globs reads them ---

  const ONE = /[\\^$.|+(){}\]]/g;
  function matcher(text) {
    let made = "";
    for (let at = 0; at < text.length; at++) {
      const letter = text[at];
      if (letter === "*") made += "[^]*";
      else if (letter === "?") made += "[^]";
      else if (letter === "[" && text.indexOf("]", at + 2) > 0) {
        const end = text.indexOf("]", at + 2);
        const inside = text.slice(at + 1, end).replace(/\\/g, "\\\\").replace(/^!/, "^");
        made += `[${inside}]`;
        at = end;
      } else made += letter.replace(ONE, "\\$&").replace("[", "\\[");
    }
    const pattern = new RegExp(`^(?:${made})$`, "u");
    return (name) => pattern.test(name);
  }
  function stepsOf(pattern) {
    const steps = (pattern.match(/<[^<>]*>|[^.<>]+/g) || []).map((text) => {
      if (text === "**") return { crosses: true };
      return text.startsWith("<") ? { cls: matcher(text.slice(1, -1)) } : { name: matcher(text) };
    });
    return pattern.startsWith("<") ? [{ crosses: true }, ...steps] : steps;
  }
  function closed(steps, reached) {
    const found = new Set(reached);
    for (let at of [...found].sort((one, other) => one - other)) while (at < steps.length && steps[at].crosses) found.add(++at);
    return found;
  }
  function advance(steps, reached, part, cls) {
    const found = new Set();
    for (const at of reached) {
      if (at >= steps.length) continue;
      const step = steps[at];
      if (step.crosses) found.add(at);
      else if (step.cls ? cls && step.cls(cls) : step.name(part)) found.add(at + 1);
    }
    return closed(steps, found);
  }
  function byPath(pattern) {
    const steps = stepsOf(pattern);
    const start = closed(steps, [0]);
    const reached = new Array(count);
    const fits = new Uint8Array(count);
    for (let at = 0; at < count; at++) {
      if (!paths[at]) {
        reached[at] = start;
        const named = pattern.startsWith("<") && advance(steps, start, "", classOf(at)).has(steps.length);
        fits[at] = named || start.has(steps.length) ? 1 : 0;
        continue;
      }
      const above = up[at] < 0 ? start : reached[up[at]];
      if (paths[at].startsWith("/")) reached[at] = advance(steps, above, "", classOf(at));
      else {
        const levelAbove = up[at] >= 0 && paths[up[at]].startsWith("/");
        let here = levelAbove ? start : above;
        const parts = data.paths[at].split(".");
        parts.forEach((part, index) => {
          here = advance(steps, here, part, index === parts.length - 1 ? classOf(at) : "");
        });
        reached[at] = levelAbove ? new Set([...here, ...advance(steps, above, "", classOf(at))]) : here;
      }
      fits[at] = reached[at].has(steps.length) ? 1 : 0;
    }
    return fits;
  }
  function tagOf(at) {
    const found = [];
    for (let here = at; here >= 0; here = up[here]) if (data.tagged[here]) found.unshift(data.names[here]);
    return "/" + found.join("/");
  }
  function byTag(pattern) {
    const steps = pattern.split("/").filter(Boolean).map((text) => (text === "**" ? { crosses: true } : { name: matcher(text) }));
    return Uint8Array.from(paths, (_, at) => {
      if (!data.tagged[at]) return 0;
      let here = closed(steps, [0]);
      for (const part of tagOf(at).split("/").slice(1)) here = advance(steps, here, part, "");
      return here.has(steps.length) ? 1 : 0;
    });
  }
  // Which modules a text names, with all in them; null for all modules.
  function chosen(text) {
    if (!text) return null;
    let fits;
    const exact = paths.indexOf(text === "(root)" ? "" : text);
    if (exact >= 0) fits = Uint8Array.from(paths, (_, at) => (at === exact ? 1 : 0));
    else if (text.startsWith("/")) fits = byTag(text);
    else if (/[*?[<]/.test(text)) fits = byPath(text);
    else {
      const word = text.toLowerCase();
      fits = Uint8Array.from(paths, (path, at) => (`${path} ${classOf(at)}`.toLowerCase().includes(word) ? 1 : 0));
    }
    for (let at = 0; at < count; at++) if (up[at] >= 0 && fits[up[at]]) fits[at] = 1;
    return fits;
  }

  // --- what is chosen ---

  const state = { top: -1, sort: null, descending: true, modules: PAGE, nodes: PAGE, kept: null };
  const families = columns
    .filter((column) => column.name.endsWith(" before"))
    .map((column) => column.name.slice(0, -7))
    .filter((name) => place.has(`${name} after`) && place.has(`${name} change`));
  const canSize = (at) => columns[at].rule === "sum" && cells[at].total.every((value) => value === null || value >= 0);
  const sizes = [
    ...families.filter((name) => canSize(place.get(`${name} before`))).map((name) => ({ name: `${name} before and after`, at: [place.get(`${name} before`), place.get(`${name} after`)] })),
    ...columns.map((column, at) => ({ name: titled(column), at: [at] })).filter(({ at }) => canSize(at[0])),
  ];
  // Of a table that no column can be the size of, every module is as large as what is in it.
  const leaves = () => ({ own: null, total: upwards(paths.map((_, at) => (children[at].length ? 0 : 1))), untagged: 0 });
  if (!sizes.length) {
    sizes.push({ name: "number of modules", at: [cells.length] });
    cells.push(leaves());
  }
  // Where all tags were found in one way, that is no picture.
  const bySource = { name: "source of tags", kind: "source" };
  const severalSources = withSources && sources.filter((own) => tops.some((at) => own[at])).length > 1;
  const colours = [
    ...(severalSources ? [bySource] : []),
    { name: "class", kind: "class" },
    ...(withSources && !severalSources ? [bySource] : []),
    ...columns.map((column, at) => ({ name: titled(column), kind: "column", at })),
  ];
  const option = (select, list, first) => list.forEach(({ name }, at) => select.add(new Option(name, String(at), false, name === first)));
  const firstSize = sizes.find(({ at }) => columns[at[0]]?.name === data.size || (at.length > 1 && columns[at[1]].name === data.size));
  const firstColour = colours.find(({ name, at }) => name === data.colour || (at !== undefined && columns[at].name === data.colour));
  option($("size"), sizes, firstSize?.name);
  option($("colour"), colours, firstColour?.name);
  function offerOperators() {
    for (const [id, names] of [["operator", nodes.ops], ["source", [...SOURCES, "(no tag)"]]]) {
      $(id).add(new Option("any", ""));
      const listed = names.map((name, at) => [name, at]);
      if (id === "operator") listed.sort(([one], [other]) => (one < other ? -1 : 1));
      listed.forEach(([name, at]) => $(id).add(new Option(name, String(at))));
    }
  }
  const operator = () => ($("operator").value === "" ? null : Number($("operator").value));
  const source = () => ($("source").value === "" ? null : Number($("source").value));
  const fitsNode = (node) =>
    (operator() === null || nodes.op[node] === operator()) && (source() === null || (nodes.module[node] < 0 ? SOURCES.length : nodes.source[node]) === source());

  function kept() {
    const fits = chosen($("filter").value.trim());
    if (!nodes || (operator() === null && source() === null)) return fits;
    return Uint8Array.from(paths, (_, at) => ((!fits || fits[at]) && nodesOf[at].some(fitsNode) ? 1 : 0));
  }

  // --- colours ---

  const classRank = (() => {
    const [first] = sizes[0].at;
    const weight = new Map();
    const own = cells[first].own || cells[first].total;
    for (let at = 0; at < count; at++) {
      const cls = data.class[at];
      if (cls >= 0 && !children[at].length) weight.set(cls, (weight.get(cls) || 0) + (own[at] || 0));
    }
    const ranked = [...weight].sort((one, other) => other[1] - one[1]).slice(0, CLASS_COLOURS.length);
    return new Map(ranked.map(([cls], at) => [cls, at]));
  })();
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  function mixed(ramp, share) {
    const place = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
    const low = Math.min(Math.floor(place), ramp.length - 2);
    const [one, other] = [rgb(ramp[low]), rgb(ramp[low + 1])];
    return "#" + one.map((value, at) => Math.round(value + (other[at] - value) * (place - low)).toString(16).padStart(2, "0")).join("");
  }
  const isDark = (hex) => {
    const [red, green, blue] = rgb(hex);
    return 0.299 * red + 0.587 * green + 0.114 * blue < 120;
  };
  // How a column is coloured: the ramp, the share of it for a module, and the numbers at its ends.
  function scaleOf(at) {
    const { name, worse, rule, unit } = columns[at];
    const { total, untagged: loose } = cells[at];
    const known = total.filter((value) => value !== null);
    const family = families.find((family) => name === `${family} change`);
    if (family) {
      const before = cells[place.get(`${family} before`)].total;
      return {
        ramp: RAMPS.change, low: "−100 %", high: "+100 %",
        share: (module) => (total[module] === null ? null : 0.5 + 0.5 * Math.max(-1, Math.min(1, total[module] / (before[module] || Math.abs(total[module]) || 1)))),
      };
    }
    const high = known.reduce((one, other) => Math.max(one, other), loose || 0);
    const low = known.reduce((one, other) => Math.min(one, other), 0);
    if (low < 0) {
      const end = Math.max(high, -low);
      return { ramp: RAMPS.change, low: number(-end, unit), high: number(end, unit), share: (module) => (total[module] === null ? null : 0.5 + total[module] / end / 2) };
    }
    const ramp = worse === "lower" ? [...RAMPS.worse].reverse() : worse ? RAMPS.worse : RAMPS.plain;
    // A sum shrinks from level to level: the root of its share tells the lower ones apart.
    const bend = rule === "sum" ? Math.sqrt : (share) => share;
    return { ramp, low: number(0, unit), high: number(high, unit), share: (module) => (total[module] === null ? null : bend(total[module] / (high || 1))) };
  }
  // What a module is filled with: one colour, or several with their shares.
  function fills() {
    const { kind, at } = colours[$("colour").value];
    if (kind === "class") return (module) => [[classRank.has(data.class[module]) ? CLASS_COLOURS[classRank.get(data.class[module])] : PLAIN, 1]];
    if (kind === "column") {
      const scale = scaleOf(at);
      return (module) => {
        const share = scale.share(module);
        return [[share === null ? PLAIN : mixed(scale.ramp, share), 1]];
      };
    }
    return (module) => {
      const all = sources.reduce((sum, own) => sum + own[module], 0);
      const found = sources.map((own, rank) => [SOURCE_COLOURS[rank], own[module] / all]).filter(([, share]) => share > 0);
      return found.length ? found : [[PLAIN, 1]];
    };
  }
  function paint(box, parts) {
    if (parts.length === 1) box.style.background = parts[0][0];
    else {
      let from = 0;
      const stops = parts.map(([colour, share]) => `${colour} ${100 * from}% ${100 * (from += share)}%`);
      box.style.background = `linear-gradient(90deg,${stops.join(",")})`;
    }
    if (isDark(parts[0][0])) box.classList.add("on-dark");
  }

  // --- picture ---

  const anchor = () => (state.top < 0 ? (tops.length === 1 ? tops[0] : -1) : state.top);

  function icicle(at, caption) {
    const figure = element("figure");
    if (caption) figure.append(element("figcaption", caption));
    const box = element("div", undefined, "icicle");
    box.setAttribute("role", "tree");
    box.setAttribute("aria-label", caption || "modules");
    box.dataset.cell = String(at);
    figure.append(box);
    return figure;
  }
  function boxesOf(at, width) {
    const { total, untagged: loose } = cells[at];
    const found = [];
    const around = [];
    const top = state.top;
    if (top >= 0) for (let here = up[top]; here >= 0; here = up[here]) around.unshift(here);
    around.forEach((module, level) => found.push({ module, x: 0, width, level, around: true }));
    const rest = top >= 0 || !loose ? 0 : loose;
    const start = top >= 0 ? [top] : tops;
    const whole = start.reduce((sum, module) => sum + (total[module] || 0), rest) || 1;
    let x = 0;
    const stack = [];
    for (const module of start) {
      const part = (width * (total[module] || 0)) / whole;
      stack.push([module, x, start.length === 1 && !rest ? width : part, around.length]);
      x += part;
    }
    if (rest) found.push({ module: -1, x, width: (width * rest) / whole, level: 0 });
    while (stack.length) {
      const [module, left, room, level] = stack.pop();
      if (room < 1.5) continue;
      found.push({ module, x: left, width: room, level });
      const sum = total[module];
      if (!sum) continue;
      let from = left;
      for (const child of children[module]) {
        const part = Math.min((room * (total[child] || 0)) / sum, left + room - from);
        if (part >= 1.5) stack.push([child, from, part, level + 1]);
        from += part;
      }
    }
    return found;
  }
  // The class with its key, or the key alone where there is no room for both.
  function nameIn(module, width) {
    if (module < 0) return "(no tag)";
    const name = data.names[module];
    const key = data.paths[module].slice(data.paths[module].lastIndexOf(".") + 1);
    return name.length * 6.4 + 12 > width && key && key.length < name.length && !key.startsWith("/") ? key : name;
  }
  function draw(box, filled) {
    const at = Number(box.dataset.cell);
    const made = document.createDocumentFragment();
    let deepest = 0;
    for (const { module, x, width, level, around } of boxesOf(at, box.clientWidth)) {
      deepest = Math.max(deepest, level);
      const value = number(module < 0 ? cells[at].untagged : cells[at].total[module], columns[at]?.unit);
      const item = element("div");
      item.style.cssText = `left:${x.toFixed(1)}px;top:${level * ROW}px;width:${width.toFixed(1)}px`;
      if (width > 24) {
        item.append(element("b", nameIn(module, width)));
        if (width > 110) item.append(element("span", value));
      } else item.style.padding = "0";
      item.dataset.at = String(module);
      item.tabIndex = module === anchor() ? 0 : -1;
      item.setAttribute("role", "treeitem");
      item.setAttribute("aria-level", String(level + 1));
      item.setAttribute("aria-label", `${shown(module)}, ${value}`);
      if (around) item.classList.add("around");
      if (state.kept && !(module >= 0 && state.kept[module])) item.classList.add("faint");
      paint(item, module < 0 ? [[UNTAGGED, 1]] : filled(module));
      made.append(item);
    }
    box.replaceChildren(made);
    box.style.height = `${(deepest + 1) * ROW}px`;
  }
  function drawPictures() {
    const { at } = sizes[$("size").value];
    const pictures = $("pictures");
    if (pictures.dataset.at !== String(at)) {
      pictures.dataset.at = String(at);
      pictures.replaceChildren(...at.map((one) => icicle(one, at.length > 1 ? titled(columns[one]) : "")));
    }
    const filled = fills();
    for (const box of pictures.querySelectorAll(".icicle")) draw(box, filled);
  }
  function drawLegend() {
    const { kind, at, name } = colours[$("colour").value];
    const entry = (colour, text) => {
      const made = element("span");
      const swatch = element("i");
      swatch.style.background = colour;
      made.append(swatch, text);
      return made;
    };
    let parts;
    if (kind === "source") {
      parts = SOURCES.map((text, rank) => [SOURCE_COLOURS[rank], text, sources[rank]]).filter(([, , own]) => tops.some((module) => own[module])).map(([colour, text]) => entry(colour, text));
    } else if (kind === "class") {
      parts = [...classRank].map(([cls, rank]) => entry(CLASS_COLOURS[rank], classes[cls] || "(no class)"));
      parts.push(entry(PLAIN, "other"));
    } else {
      const scale = scaleOf(at);
      const ramp = element("i", undefined, "ramp");
      ramp.style.background = `linear-gradient(90deg,${scale.ramp.join(",")})`;
      const line = element("span");
      line.append(`${name}: ${scale.low}`, ramp, scale.high);
      parts = [line];
    }
    $("legend").replaceChildren(...parts);
  }
  function drawTrail() {
    const links = [];
    for (let here = state.top; here >= 0; here = up[here]) links.unshift(link(here));
    if (!links.length || state.top < 0) links.unshift(link(-1));
    else if (tops.length > 1) links.unshift(link(-1));
    $("trail").replaceChildren(...links);
  }
  function link(module) {
    const made = element("a", module < 0 ? (tops.length === 1 ? data.names[tops[0]] : "(all)") : data.names[module]);
    made.href = addressOf(module);
    made.dataset.at = String(module);
    made.title = module < 0 ? "all modules" : shown(module);
    return made;
  }

  // --- tables ---

  function under(top) {
    const found = [];
    const stack = top < 0 ? [...tops].reverse() : [top];
    while (stack.length) {
      const here = stack.pop();
      found.push(here);
      for (let at = children[here].length - 1; at >= 0; at--) stack.push(children[here][at]);
    }
    return found;
  }
  function heads(table, names, words) {
    const row = element("tr");
    names.forEach((name, at) => {
      const head = element("th", undefined, at < words ? "word" : "");
      head.scope = "col";
      const button = element("button", name);
      button.type = "button";
      button.dataset.sort = String(at);
      if (state.sort === at && table.id === "modules") head.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      head.append(table.id === "modules" ? button : element("div", name));
      row.append(head);
    });
    table.tHead.replaceChildren(row);
  }
  function drawModules() {
    const filtered = Boolean(nodes) && (operator() !== null || source() !== null);
    const names = ["module", "class", ...(filtered ? ["fitting nodes"] : []), ...columns.flatMap((column) => [titled(column), "own"])];
    const fitting = filtered ? paths.map((_, at) => nodesOf[at].reduce((sum, node) => sum + (fitsNode(node) ? 1 : 0), 0)) : null;
    const rows = under(state.top).filter((at) => !state.kept || state.kept[at]);
    const key = (at) => {
      if (state.sort === 0) return paths[at];
      if (state.sort === 1) return classOf(at);
      const column = state.sort - 2 - (filtered ? 1 : 0);
      if (column < 0) return fitting[at];
      return (column % 2 ? cells[column >> 1].own : cells[column >> 1].total)[at];
    };
    if (state.sort !== null && state.sort < names.length) {
      const keys = new Map(rows.map((at) => [at, key(at)]));
      const sign = state.descending ? -1 : 1;
      rows.sort((one, other) => {
        const [a, b] = [keys.get(one), keys.get(other)];
        if (a === b) return one - other;
        if (a === null) return 1;
        if (b === null) return -1;
        return (a < b ? -1 : 1) * sign;
      });
    }
    heads($("modules"), names, 2);
    const made = rows.slice(0, state.modules).map((at) => {
      const row = element("tr");
      row.dataset.at = String(at);
      const asTree = state.sort === null && !state.kept;
      const name = element("td", asTree && at !== state.top ? data.paths[at] || "(root)" : shown(at), "word");
      name.title = data.tagged[at] ? `${shown(at)}\n${tagOf(at)}` : shown(at);
      if (asTree) name.style.paddingLeft = `${10 + 12 * Math.min(depths[at] - (state.top < 0 ? 0 : depths[state.top]), 12)}px`;
      row.append(name, element("td", classOf(at), "word"));
      if (filtered) row.append(element("td", digits(fitting[at])));
      columns.forEach((column, index) => {
        row.append(element("td", number(cells[index].total[at], column.unit)));
        const own = element("td");
        own.append(element("small", number(cells[index].own[at], column.unit)));
        row.append(own);
      });
      return row;
    });
    $("modules").tBodies[0].replaceChildren(...made);
    const loose = columns.map((column, at) => [column, cells[at].untagged]).filter(([, value]) => value);
    if (loose.length && state.top < 0 && !state.kept) {
      const row = element("tr");
      row.append(element("td", "(no tag)", "word"), element("td", "", "word"));
      columns.forEach((column, at) => row.append(element("td", number(cells[at].untagged, column.unit)), element("td", "")));
      $("modules").tBodies[0].append(row);
    }
    $("modules-title").textContent = `${many(rows.length, "module")}${state.top < 0 ? "" : ` in ${shown(state.top)}`}`;
    $("more-modules").hidden = rows.length <= state.modules;
  }
  function drawNodes() {
    if (!nodes) return;
    const rows = [];
    for (const at of under(state.top)) if (!state.kept || state.kept[at]) for (const node of nodesOf[at]) if (fitsNode(node)) rows.push(node);
    if (state.top < 0 && !$("filter").value.trim()) rows.push(...untagged.filter(fitsNode));
    rows.sort((one, other) => one - other);
    heads($("nodes"), ["node", "operator", "module", "source", "does work of", "shape"], 6);
    const made = rows.slice(0, state.nodes).map((node) => {
      const row = element("tr");
      const module = nodes.module[node];
      if (module >= 0) row.dataset.at = String(module);
      const origins = (originsOf.get(node) || []).map(shown).join(", ");
      const texts = [nodes.names[node] || "(no name)", nodes.ops[nodes.op[node]], shown(module), module < 0 ? "" : SOURCES[nodes.source[node]], origins, nodes.shapes[nodes.shape[node]]];
      for (const text of texts) {
        const cell = element("td", text, "word");
        if (text.length > 30) cell.title = text;
        row.append(cell);
      }
      return row;
    });
    $("nodes").tBodies[0].replaceChildren(...made);
    $("nodes-title").textContent = `${many(rows.length, "node")}${state.top < 0 ? "" : ` in ${shown(state.top)}`}`;
    $("more-nodes").hidden = rows.length <= state.nodes;
  }

  // --- moving about ---

  const addressOf = (module) => (module < 0 || !paths[module] ? "#" : `#${encodeURIComponent(paths[module])}`);
  function moduleOfAddress() {
    let path;
    try {
      path = decodeURIComponent(location.hash.slice(1));
    } catch {
      return -1;
    }
    return path ? paths.indexOf(path) : -1;
  }
  function drawAbove() {
    state.kept = kept();
    drawPictures();
    drawLegend();
    drawTrail();
  }
  function drawAll() {
    drawAbove();
    drawModules();
    drawNodes();
  }
  function show(module, { remember = true } = {}) {
    const wanted = module >= 0 && tops.length === 1 && module === tops[0] ? -1 : module;
    if (remember && wanted !== state.top) history.pushState(null, "", addressOf(wanted));
    state.top = wanted;
    state.modules = state.nodes = PAGE;
    drawAll();
  }
  function focusOn(module) {
    const box = $("pictures").querySelector(`[data-at="${module}"]`);
    if (box) box.focus();
    return Boolean(box);
  }
  const moduleAt = (target) => {
    const found = target.closest("[data-at]");
    return found && found.id !== "pictures" ? Number(found.dataset.at) : null;
  };
  function tell(module) {
    if (module === null) return;
    const words = [shown(module)];
    if (module >= 0 && classOf(module)) words.push(classOf(module));
    columns.forEach((column, at) => {
      const value = module < 0 ? cells[at].untagged : cells[at].total[module];
      if (value) words.push(`${column.name} ${number(value, column.unit)}`);
    });
    if (nodes && module >= 0 && nodesOf[module].length) {
      const counts = new Map();
      for (const node of nodesOf[module]) counts.set(nodes.op[node], (counts.get(nodes.op[node]) || 0) + 1);
      const common = [...counts].sort((one, other) => other[1] - one[1]).slice(0, 6);
      words.push(`own: ${common.map(([op, times]) => `${times} ${nodes.ops[op]}`).join(", ")}${counts.size > 6 ? " …" : ""}`);
    }
    $("tip").textContent = words.join(" · ");
  }
  function outwards() {
    if (state.top >= 0) {
      const from = state.top;
      show(up[from] < 0 ? -1 : up[from]);
      focusOn(from);
    }
  }
  function step(module, key) {
    const siblings = up[module] < 0 ? tops : children[up[module]];
    const at = siblings.indexOf(module);
    const tries = {
      ArrowUp: [up[module]],
      ArrowDown: children[module],
      ArrowLeft: siblings.slice(0, at).reverse(),
      ArrowRight: siblings.slice(at + 1),
    }[key];
    for (const next of tries) if (next >= 0 && focusOn(next)) return;
  }

  $("pictures").addEventListener("click", (event) => {
    const module = moduleAt(event.target);
    if (module !== null && module >= 0) {
      show(module);
      focusOn(module);
    }
  });
  for (const kind of ["mouseover", "focusin"]) $("pictures").addEventListener(kind, (event) => tell(moduleAt(event.target)));
  $("pictures").addEventListener("keydown", (event) => {
    const module = moduleAt(event.target);
    if (module === null || module < 0) return;
    if (event.key === "Enter" || event.key === " ") {
      show(module);
      focusOn(module);
    } else if (event.key.startsWith("Arrow")) step(module, event.key);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
    if (event.key === "Escape") {
      if (typing && $("filter").value) $("filter").value = "";
      else outwards();
      if (typing) drawAll();
    } else if (!typing && event.key === "Home") show(-1);
    else if (!typing && event.key === "/" && !event.ctrlKey && !event.metaKey) $("filter").focus();
    else return;
    event.preventDefault();
  });
  $("trail").addEventListener("click", (event) => {
    const module = moduleAt(event.target);
    if (module === null) return;
    event.preventDefault();
    show(module);
  });
  for (const id of ["modules", "nodes"]) {
    $(id).tBodies[0].addEventListener("click", (event) => {
      const module = moduleAt(event.target);
      if (module !== null) show(module);
    });
    $(`more-${id}`).addEventListener("click", () => {
      state[id] += 5 * PAGE;
      (id === "modules" ? drawModules : drawNodes)();
    });
  }
  $("modules").tHead.addEventListener("click", (event) => {
    const button = event.target.closest("[data-sort]");
    if (!button) return;
    const at = Number(button.dataset.sort);
    const first = at > 1; // numbers begin with the largest, words with the first
    if (state.sort !== at) [state.sort, state.descending] = [at, first];
    else if (state.descending === first) state.descending = !first;
    else state.sort = null; // the third click gives back the order of the tree
    drawModules();
    $("modules").tHead.querySelector(`[data-sort="${at}"]`).focus();
  });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("input", drawAll);
  addEventListener("popstate", () => show(moduleOfAddress(), { remember: false }));
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) {
      width = innerWidth;
      drawPictures();
    }
  });

  for (const [name, value] of data.facts) {
    const fact = element("div");
    const isBytes = name === "bytes";
    const text = isBytes ? number(Number(value), "B") : /^[0-9a-f]{64}$/.test(value) ? `${value.slice(0, 16)}…` : value;
    fact.append(element("dt", isBytes ? "size" : name), element("dd", text));
    fact.title = value;
    $("facts").append(fact);
  }
  document.querySelector("main").hidden = false;
  state.top = moduleOfAddress();
  if (tops.length === 1 && state.top === tops[0]) state.top = -1;
  // The picture first; tables and nodes once it is on the screen.
  drawAbove();
  document.documentElement.dataset.drawn = (performance.now() - started).toFixed(1);
  await new Promise((done) => setTimeout(done));
  drawModules();
  if (hasNodes) {
    await readNodes();
    offerOperators();
    drawNodes();
  } else document.body.classList.add("without-nodes");
  document.documentElement.dataset.complete = (performance.now() - started).toFixed(1);
})();
