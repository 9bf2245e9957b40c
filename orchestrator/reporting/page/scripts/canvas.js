// What is drawn on a canvas: lines, dots and text that fits.

export const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/**
 * What a canvas is drawn with.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function context(canvas) {
  const ctx = canvas.getContext("2d");
  if (!ctx) throw new Error("this browser draws nothing on a canvas");
  return ctx;
}

/**
 * Draw a straight line.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 */
export function line(ctx, x1, y1, x2, y2) {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

/**
 * Draw a dot.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x
 * @param {number} y
 * @param {number} r
 * @param {string | null} fill
 * @param {string | null} [stroke]
 */
export function dot(ctx, x, y, r, fill, stroke) {
  ctx.beginPath();
  ctx.arc(x, y, r, 0, 7);
  if (fill) {
    ctx.fillStyle = fill;
    ctx.fill();
  }
  if (stroke) {
    ctx.strokeStyle = stroke;
    ctx.stroke();
  }
}

/**
 * Draw a closed shape.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {[number, number][]} corners
 * @param {string} fill
 * @param {string} stroke
 */
function shape(ctx, corners, fill, stroke) {
  ctx.beginPath();
  for (const [x, y] of corners) ctx.lineTo(x, y);
  ctx.closePath();
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.lineWidth = 1;
  ctx.strokeStyle = stroke;
  ctx.stroke();
}

/**
 * Draw a triangle that points up (1) or down (-1): there is something beyond the border.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x
 * @param {number} y
 * @param {number} r
 * @param {number} side
 * @param {string} fill
 * @param {string} stroke
 */
export function triangle(ctx, x, y, r, side, fill, stroke) {
  shape(ctx, [[x - r, y + side * r], [x + r, y + side * r], [x, y - side * r]], fill, stroke);
}

/**
 * Draw a star with five points.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x
 * @param {number} y
 * @param {number} r
 * @param {string} fill
 * @param {string} stroke
 */
export function star(ctx, x, y, r, fill, stroke) {
  const corners = Array.from({ length: 10 }, (_, k) => {
    const angle = Math.PI * (k / 5 - 0.5), length = k % 2 ? 0.45 * r : r;
    return /** @type {[number, number]} */ ([x + length * Math.cos(angle), y + length * Math.sin(angle)]);
  });
  shape(ctx, corners, fill, stroke);
}

/**
 * A text, cut to the room that there is.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} text
 * @param {number} room Pixels.
 * @returns {string}
 */
export function cut(ctx, text, room) {
  if (ctx.measureText(text).width <= room) return text;
  let n = Math.max(1, Math.floor(text.length * room / ctx.measureText(text).width) - 1);
  while (n > 1 && ctx.measureText(text.slice(0, n) + "…").width > room) n--;
  return text.slice(0, n) + "…";
}
