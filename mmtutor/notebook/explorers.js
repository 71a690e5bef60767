// Sliders that need no kernel and no network: `explore(root, kind, data)` brings one to life.
// The first half computes, and is tested against PyTorch; the second half draws.

const maths = {
  softmax(logits, temperature) {
    const top = Math.max(...logits);
    const weights = logits.map((z) => Math.exp((z - top) / temperature));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((w) => w / sum);
  },

  entropy(probabilities) {
    return probabilities.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0);
  },

  // Rows of the softmax, the mean loss in nats, and the hardest negative's mean share of the weight
  // that all negatives have in the gradient.
  infoNce(similarity, temperature) {
    const rows = similarity.map((row) => maths.softmax(row, temperature));
    let loss = 0, share = 0;
    rows.forEach((row, i) => {
      const top = Math.max(...similarity[i]);
      const others = similarity[i].map((s) => Math.exp((s - top) / temperature));
      loss += Math.log(others.reduce((a, b) => a + b, 0)) - (similarity[i][i] - top) / temperature;
      const negatives = row.filter((_, j) => j !== i);
      const sum = negatives.reduce((a, b) => a + b, 0);
      share += sum > 0 ? Math.max(...negatives) / sum : 1 / negatives.length;
    });
    return { rows, loss: loss / rows.length, share: share / rows.length };
  },

  // Share of examples whose largest entry of alpha * one + (1 - alpha) * other is at its label.
  accuracy(one, other, label, alpha) {
    const right = label.filter((truth, i) => {
      const mixed = one[i].map((a, c) => alpha * a + (1 - alpha) * other[i][c]);
      return mixed.indexOf(Math.max(...mixed)) === truth;
    });
    return right.length / label.length;
  },

  // Heavy-ball gradient descent on (x^2 + steepness * y^2) / 2 from `start`; all points visited.
  descend(start, steepness, rate, momentum, steps) {
    let [x, y] = start, [u, v] = [0, 0];
    const path = [[x, y]];
    for (let step = 0; step < steps; step++) {
      u = momentum * u + x;
      v = momentum * v + steepness * y;
      x -= rate * u;
      y -= rate * v;
      path.push([x, y]);
    }
    return path;
  },
};

const W = 640, H = 300;

function draw(svg, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  svg.appendChild(element);
  return element;
}

function write(svg, x, y, text, anchor = "middle", size = 14) {
  draw(svg, "text", { x, y, "text-anchor": anchor, "font-size": size, fill: "currentColor" }, text);
}

const show = (number, digits = 3) =>
  Math.abs(number) >= 1e4 ? number.toExponential(1) : number.toFixed(digits);

// Each draws on `svg` from the data and the sliders' values, and returns a sentence.
const kinds = {
  softmax_temperature(svg, data, { temperature }) {
    const p = maths.softmax(data.logits, temperature);
    const step = W / p.length;
    p.forEach((share, i) => {
      const height = share * (H - 70);
      const bar = { x: i * step + step * 0.15, y: H - 40 - height, width: step * 0.7, height };
      draw(svg, "rect", { ...bar, fill: "#0072B2" });
      write(svg, (i + 0.5) * step, H - 46 - height, show(share));
      write(svg, (i + 0.5) * step, H - 16, data.labels[i]);
    });
    const bits = `${show(maths.entropy(p), 2)} of at most ${show(Math.log(p.length), 2)} nats`;
    return `Temperature ${show(temperature, 2)}: the distribution has an entropy of ${bits}.`;
  },

  info_nce_temperature(svg, data, { temperature }) {
    const { rows, loss, share } = maths.infoNce(data.similarity, temperature);
    const side = Math.min((H - 30) / rows.length, 48), left = (W - side * rows.length) / 2;
    rows.forEach((row, i) => row.forEach((p, j) => {
      const cell = { x: left + j * side, y: 26 + i * side, width: side - 2, height: side - 2 };
      draw(svg, "rect", { ...cell, fill: "#0072B2", "fill-opacity": p });
      const line = i === j ? "#D55E00" : "currentColor";
      const edge = { stroke: line, "stroke-width": i === j ? 3 : 0.3, fill: "none" };
      draw(svg, "rect", { ...cell, ...edge });
    }));
    write(svg, W / 2, 16, "text", "middle");
    write(svg, left - 10, 26 + (side * rows.length) / 2, "image", "end");
    const percent = `${show(100 * share, 0)} % of the weight of all negatives`;
    return `Temperature ${show(temperature, 2)}: loss ${show(loss, 2)} nats; the hardest negative ` +
      `of a row has, on average, ${percent}.`;
  },

  fusion_weight(svg, data, { alpha }) {
    const at = (a) => maths.accuracy(data.one, data.other, data.label, a);
    const xs = Array.from({ length: 51 }, (_, i) => i / 50), ys = xs.map(at);
    const low = Math.min(...ys), high = Math.max(...ys), room = Math.max(high - low, 0.01);
    const place = (x, y) => [60 + x * (W - 90), H - 45 - ((y - low) / room) * (H - 75)];
    const line = xs.map((x, i) => place(x, ys[i]).join(",")).join(" ");
    draw(svg, "polyline", { points: line, fill: "none", stroke: "#0072B2", "stroke-width": 2.5 });
    const [x, y] = place(alpha, at(alpha));
    draw(svg, "circle", { cx: x, cy: y, r: 7, fill: "#D55E00" });
    [low, high].forEach((value) => write(svg, 52, place(0, value)[1] + 5, show(value, 2), "end"));
    write(svg, 60, H - 14, `only ${data.names[1]}`, "start");
    write(svg, W - 30, H - 14, `only ${data.names[0]}`, "end");
    return `${show(alpha, 2)} × ${data.names[0]} + ${show(1 - alpha, 2)} × ${data.names[1]}: ` +
      `accuracy ${show(at(alpha))}.`;
  },

  descent(svg, data, { rate, momentum }) {
    const path = maths.descend(data.start, data.steepness, rate, momentum, data.steps);
    const loss = ([x, y]) => (x * x + data.steepness * y * y) / 2;
    const scale = W / 2 / (1.25 * Math.abs(data.start[0]));
    const place = ([x, y]) => [W / 2 + x * scale, H / 2 - y * scale];
    for (let level = 1; level <= 6; level++) {
      const size = Math.sqrt(2 * loss(data.start) * level ** 2 / 25);
      const radii = { rx: size * scale, ry: size * scale / Math.sqrt(data.steepness) };
      const edge = { fill: "none", stroke: "currentColor", "stroke-opacity": 0.3 };
      draw(svg, "ellipse", { cx: W / 2, cy: H / 2, ...radii, ...edge });
    }
    const far = 1e4, seen = path.findIndex((p) => Math.max(...p.map(Math.abs)) > far);
    const points = (seen < 0 ? path : path.slice(0, seen)).map(place);
    const line = { points: points.map((p) => p.join(",")).join(" "), fill: "none" };
    draw(svg, "polyline", { ...line, stroke: "#D55E00", "stroke-width": 2 });
    points.forEach(([cx, cy]) => draw(svg, "circle", { cx, cy, r: 3, fill: "#D55E00" }));
    const limit = (2 * (1 + momentum)) / data.steepness;
    const end = loss(path[path.length - 1]);
    const fate = rate < limit ? "converges" : "does not converge";
    return `After ${data.steps} steps the loss is ${show(end, 6)}, from ${show(loss(data.start), 2)}` +
      `. With this momentum, a learning rate below ${show(limit)} converges: this one ${fate}.`;
  },
};

// `root` holds <input type=range>, each followed by <output>, an <svg> and a <p>.
function explore(root, kind, data) {
  const svg = root.querySelector("svg"), sliders = [...root.querySelectorAll("input")];
  const value = (input) => (input.dataset.log ? 10 ** Number(input.value) : Number(input.value));
  function update() {
    sliders.forEach((input) => (input.nextElementSibling.textContent = show(value(input), 2)));
    svg.replaceChildren();
    const values = Object.fromEntries(sliders.map((input) => [input.name, value(input)]));
    root.querySelector("p").textContent = kinds[kind](svg, data, values);
  }
  sliders.forEach((input) => input.addEventListener("input", update));
  update();
}
