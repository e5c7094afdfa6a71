/** Preloaded into a node: its wall clock is wrong by `CONCORDMQ_TEST_CLOCK_MS`. */
const offMs = Number(process.env['CONCORDMQ_TEST_CLOCK_MS'] ?? 0)
const RealDate = Date
const now = RealDate.now.bind(RealDate)

class WrongDate extends RealDate {
  constructor(...given: [] | [string | number | Date]) {
    super(...((given.length === 0 ? [now() + offMs] : given) as [number]))
  }

  static override now(): number {
    return now() + offMs
  }
}

globalThis.Date = WrongDate as DateConstructor
