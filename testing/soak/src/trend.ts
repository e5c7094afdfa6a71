/**
 * Whether a row of measurements grows: least squares through (time, value), with the standard error of the slope, so that
 * noise is not called growth and growth does not hide in noise. Pure.
 */
export interface Point {
  readonly atSeconds: number
  readonly value: number
}

export interface Trend {
  readonly points: number
  readonly mean: number
  readonly first: number
  readonly last: number
  /** Along the fitted line, from the first to the last point. */
  readonly growth: number
  /** Standard error of that growth; infinite with fewer than three points. */
  readonly error: number
  readonly perHour: number
}

export function trendOf(points: readonly Point[]): Trend {
  const n = points.length
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || last === undefined) throw new Error('A trend needs a point')
  const mean = (pick: (point: Point) => number): number => points.reduce((sum, point) => sum + pick(point), 0) / n
  const meanAt = mean((point) => point.atSeconds)
  const meanValue = mean((point) => point.value)
  let squares = 0
  let products = 0
  for (const { atSeconds, value } of points) {
    squares += (atSeconds - meanAt) ** 2
    products += (atSeconds - meanAt) * (value - meanValue)
  }
  const slope = squares === 0 ? 0 : products / squares
  const residual = points.reduce(
    (sum, { atSeconds, value }) => sum + (value - meanValue - slope * (atSeconds - meanAt)) ** 2,
    0,
  )
  const span = last.atSeconds - first.atSeconds
  return {
    points: n,
    mean: meanValue,
    first: first.value,
    last: last.value,
    growth: slope * span,
    error: n < 3 || squares === 0 ? Number.POSITIVE_INFINITY : Math.sqrt(residual / (n - 2) / squares) * span,
    perHour: slope * 3_600,
  }
}

/**
 * Flat: the fitted growth over the whole row is no more than `growthMax`, or no more than three times its own error and the
 * row does not end above where it began by more than that.
 */
export function isFlat(trend: Trend, growthMax: number): boolean {
  if (trend.growth <= growthMax) return true
  return trend.growth <= 3 * trend.error && trend.last - trend.first <= growthMax
}
