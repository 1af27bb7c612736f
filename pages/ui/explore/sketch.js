// Keeps the sketch of a network for the picture of its weights.

export default function ({ data }) {
  readSketch(data).then((sketch) => sketches.set(data.name, sketch));
}
