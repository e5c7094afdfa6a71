/**
 * Runs a property with a fresh seed each time, or with that of the environment, and says on failure how to repeat it.
 *
 *     CONCORDMQ_TEST_SEED=8123 node --test packages/protocol/src/packets/packets.test.ts
 */
import fc from 'fast-check'

/** Fails with the counterexample, shrunk, and the command that repeats the run. */
export function hold<Ts>(property: fc.IProperty<Ts>, numRuns: number): void {
  const given = process.env['CONCORDMQ_TEST_SEED']
  const seed = given === undefined ? Math.floor(Math.random() * 0x7fff_ffff) : Number(given)
  const details = fc.check(property, { numRuns, seed })
  if (!details.failed) return
  const report = fc.defaultReportMessage(details) ?? 'Property failed'
  const file = process.argv[1] ?? 'FILE'
  throw new Error(`${report}\n\nRepeat: CONCORDMQ_TEST_SEED=${seed} node --test ${file}`, {
    cause: details.errorInstance,
  })
}
