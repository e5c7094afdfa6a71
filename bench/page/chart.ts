/**
 * Charts as SVG text: bars beside each other on a logarithmic scale, and curves with both axes logarithmic. No script, no
 * font of its own, readable on a light and on a dark page. The same figures give the same bytes.
 */
import { short } from '../figures/judge.ts'

export interface BarGroup {
  readonly label: string
  readonly bars: readonly {
    readonly name: string
    readonly value: number
    readonly low: number
    readonly high: number
  }[]
}

export interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

const colours: Readonly<Record<string, string>> = {
  ConcordMQ: '#1f6feb',
  FlashMQ: '#d97706',
  mosquitto: '#57606a',
  SurgeMQ: '#9333ea',
}
const lineColours = ['#1f6feb', '#d97706', '#9333ea', '#1a7f37']
const width = 720
const labelWidth = 150
const barHeight = 13
const barsWidth = width - labelWidth - 130

/** Horizontal bars with their spread as a thin line. A bar without a value is left out. */
export function barChart(title: string, unit: string, groups: readonly BarGroup[]): string {
  const all = groups.flatMap(({ bars }) => bars.flatMap(({ low, high }) => [low, high])).filter((value) => value > 0)
  // Bars begin a little below the smallest value: a logarithmic scale has no zero.
  const scale = logarithmic(Math.min(...all) / 2, Math.max(...all), barsWidth)
  const parts: string[] = []
  let y = 40
  for (const { label, bars } of groups) {
    const seen = bars.filter(({ value }) => value > 0)
    parts.push(text(labelWidth - 8, y + (seen.length * barHeight) / 2 + 4, label, 'end'))
    for (const { name, value, low, high } of seen) {
      const colour = colours[name] ?? '#6e7781'
      parts.push(
        `<rect x="${labelWidth}" y="${y}" width="${fixed(scale(value))}" height="${barHeight - 2}" fill="${colour}"/>`,
      )
      const [from, to] = [labelWidth + scale(low), labelWidth + scale(high)]
      const middle = y + barHeight / 2 - 1
      parts.push(`<path d="M${fixed(from)} ${middle}H${fixed(to)}" stroke="#000" stroke-width="1"/>`)
      parts.push(
        text(Math.max(to, labelWidth + scale(value)) + 5, y + barHeight - 3, `${short(value)} ${name}`, 'start', 10),
      )
      y += barHeight
    }
    y += 10
  }
  return svg(`${title} (${unit}, logarithmic)`, y, parts)
}

/** Curves of one figure over what grows. */
export function lineChart(title: string, xName: string, yName: string, series: readonly Series[]): string {
  const height = 300
  const [left, top, bottom, right] = [70, 56, height - 45, width - 20]
  const points = series.flatMap((each) => each.points).filter(([, y]) => y > 0)
  // 0 has no place on a logarithmic axis: it stands where half of the smallest other value is.
  const positive = points.map(([x]) => x).filter((x) => x > 0)
  const least = Math.min(...positive)
  const place = (x: number): number => (x > 0 ? x : least / 2)
  const xs = points.map(([x]) => place(x))
  const ys = points.map(([, y]) => y)
  const xScale = logarithmic(Math.min(...xs), Math.max(...xs), right - left)
  const yScale = logarithmic(Math.min(...ys) / 1.5, Math.max(...ys) * 1.5, bottom - top)
  const parts = [`<path d="M${left} ${top}V${bottom}H${right}" fill="none" stroke="#6e7781"/>`]
  for (const x of new Set(points.map(([value]) => value))) {
    const at = left + xScale(place(x))
    parts.push(text(at, bottom + 16, short(x).replace(/\.0+(?= |$)/u, ''), 'middle', 10))
  }
  for (const y of decades(Math.min(...ys) / 1.5, Math.max(...ys) * 1.5)) {
    const at = bottom - yScale(y)
    parts.push(
      `<path d="M${left} ${fixed(at)}H${right}" stroke="#d0d7de"/>`,
      text(left - 6, at + 4, short(y), 'end', 10),
    )
  }
  for (const [i, { name, points: own }] of series.entries()) {
    const colour = lineColours[i % lineColours.length]
    const places = own.filter(([, y]) => y > 0).map(([x, y]) => [left + xScale(place(x)), bottom - yScale(y)] as const)
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${places.map(([x, y]) => `${fixed(x)},${fixed(y)}`).join(' ')}"/>`,
    )
    for (const [x, y] of places) parts.push(`<circle cx="${fixed(x)}" cy="${fixed(y)}" r="3" fill="${colour}"/>`)
    if (series.length > 1) parts.push(text(left + 150 * i, 44, name, 'start', 11, colour))
  }
  parts.push(text((left + right) / 2, height - 10, xName, 'middle', 11))
  return svg(`${title}: ${yName}`, height, parts)
}

function svg(title: string, height: number, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${Math.ceil(height)}" font-family="sans-serif">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${Math.ceil(height)}" fill="#fff"/>`,
    text(10, 22, title, 'start', 14),
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function text(
  x: number,
  y: number,
  words: string,
  anchor: 'start' | 'middle' | 'end',
  size = 12,
  colour = '#1f2328',
): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" font-size="${size}" text-anchor="${anchor}" fill="${colour}">${escaped(words)}</text>`
}

/** From a value to a length; one value alone is in the middle. */
function logarithmic(from: number, to: number, length: number): (value: number) => number {
  const span = Math.log(to / from)
  return (value) => (span > 0 ? (Math.log(Math.max(value, from) / from) / span) * length : length / 2)
}

/** 1, 10, 100 …; with 2 and 5 between them where there are few. */
function decades(from: number, to: number): readonly number[] {
  const steps = to / from > 100 ? [1] : [1, 2, 5]
  const found: number[] = []
  for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power++) {
    for (const step of steps) {
      const value = step * 10 ** power
      if (value >= from && value <= to) found.push(value)
    }
  }
  return found
}

function fixed(value: number): string {
  return value.toFixed(1)
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
