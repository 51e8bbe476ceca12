// Reads the bar code of the test picture (its layout is described in vidlink/sentinel/sources/picture.py)
// from what a <video> shows at this moment: {timeMs, number}, or null where there is none.
(video) => {
  const COLUMNS = 32;
  const ROWS = 3;
  const width = video.videoWidth;
  const height = video.videoHeight;
  if (width === 0) return null;
  const top = Math.floor((21 * height) / 24);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height - top;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, top, width, height - top, 0, 0, width, height - top);
  const pixels = context.getImageData(0, 0, width, height - top).data;

  const bits = [];
  for (let row = 0; row < ROWS; row++) {
    const y0 = Math.floor(((4 * (21 + row) + 1) * height) / 96) - top;
    const y1 = Math.max(y0 + 1, Math.floor(((4 * (21 + row) + 3) * height) / 96) - top);
    for (let column = 0; column < COLUMNS; column++) {
      const x0 = Math.floor(((4 * column + 1) * width) / 128);
      const x1 = Math.max(x0 + 1, Math.floor(((4 * column + 3) * width) / 128));
      let sum = 0;
      for (let y = y0; y < y1; y++) {
        for (let x = x0; x < x1; x++) {
          const place = 4 * (y * width + x);
          sum += pixels[place] + pixels[place + 1] + pixels[place + 2];
        }
      }
      bits.push(sum > 127 * 3 * (x1 - x0) * (y1 - y0) ? 1 : 0);
    }
  }
  const value = (from, count) =>
    bits.slice(from, from + count).reduce((number, bit) => number * 2 + bit, 0);
  let crc = 0xffff;
  for (let place = 8; place < 80; place += 8) {
    crc ^= value(place, 8) << 8;
    for (let n = 0; n < 8; n++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  if (value(0, 8) !== 0xb2 || value(80, 16) !== crc) return null;
  return { timeMs: value(8, 48), number: value(56, 24) };
}
