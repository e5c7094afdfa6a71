/**
 * Replays recordings (`testkit/recorded-broker.ts`): the commands of a run with real clients, in a fresh machine and from a
 * snapshot taken in the middle, must end in the state that the broker itself had.
 *
 *     node testing/replay/src/replay.ts FILE.commands…
 *
 * Between first and last command everything the machine says is compared as well: outcomes and effects of the second half
 * must be the same for the machine that saw the first half and for the one that was restored. The slices of the snapshot
 * are taken one by one while commands go on, as a running node would.
 *
 * Exits 1 when a recording does not replay, 64 on bad usage.
 */
import assert from 'node:assert/strict'
import { createHash, type Hash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { type CommandRecord, decodeRecords, type Effects, Machine, type Outcome } from '@concordmq/state'
import type { RecordingEnd } from '../../testkit/src/recorded-broker.ts'

export interface Recording {
  readonly records: readonly CommandRecord[]
  readonly end: RecordingEnd
}

/** Reads `NAME.commands` and the `NAME.json` beside it; throws if they are not whole. */
export function readRecording(file: string): Recording {
  const endFile = file.replace(/\.commands$/u, '.json')
  assert.ok(existsSync(endFile), `${endFile} is missing: the broker was not closed`)
  const end = JSON.parse(readFileSync(endFile, 'utf8')) as RecordingEnd
  const { records, problem } = decodeRecords(readFileSync(file))
  assert.equal(problem, undefined, `${file}: ${problem}`)
  assert.equal(records.length, end.commands, `${file} does not hold every command`)
  return { records, end }
}

/** Throws if a replay ends elsewhere than the broker did. */
export function checkRecording({ records, end }: Recording): void {
  const middle = records.length >> 1
  const fresh = new Machine(end.settings)
  const untilMiddle = new Witness()
  for (const record of records.slice(0, middle)) untilMiddle.apply(fresh, record)

  const middleHash = hex(fresh.hash())
  const snapshot = fresh.snapshot()
  const slices: Uint8Array[] = []
  const takeSlice = (): boolean => {
    const { value, done } = snapshot.next()
    if (done !== true) slices.push(value as Uint8Array)
    return done !== true
  }
  const afterMiddle = new Witness()
  for (const record of records.slice(middle)) {
    takeSlice()
    afterMiddle.apply(fresh, record)
  }
  while (takeSlice());
  assert.equal(hex(fresh.hash()), end.hash, 'The fresh machine ends with another hash than the broker')

  const restored = Machine.restore(slices, end.settings)
  assert.ok(restored instanceof Machine, `The snapshot is not taken: ${JSON.stringify(restored)}`)
  assert.equal(hex(restored.hash()), middleHash, 'The restored machine has another hash than the one of the snapshot')
  const afterRestoring = new Witness()
  for (const record of records.slice(middle)) afterRestoring.apply(restored, record)
  assert.equal(hex(restored.hash()), end.hash, 'The restored machine ends with another hash than the broker')
  assert.equal(
    afterRestoring.digest(),
    afterMiddle.digest(),
    'The restored machine says other things than the original',
  )
}

/** Listens to a machine: two that said the same have the same digest. */
class Witness implements Effects {
  readonly #hash: Hash = createHash('sha256')

  apply(machine: Machine, { command, position, timeUs }: CommandRecord): void {
    const outcome: Outcome = machine.apply(command, position, timeUs, this)
    this.#note('outcome', outcome)
  }

  digest(): string {
    return this.#hash.digest('hex')
  }

  published: Effects['published'] = (placed, publisher) => this.#note('published', [placedText(placed), publisher])
  queued: Effects['queued'] = (...values) => this.#note('queued', values)
  deliver: Effects['deliver'] = (clientId, connection, placed, terms) =>
    this.#note('deliver', [clientId, connection, placedText(placed), terms])
  connectionEnded: Effects['connectionEnded'] = (...values) => this.#note('connectionEnded', values)
  sessionEnded: Effects['sessionEnded'] = (...values) => this.#note('sessionEnded', values)
  dropped: Effects['dropped'] = (...values) => this.#note('dropped', values)

  #note(kind: string, value: unknown): void {
    this.#hash.update(`${kind} ${JSON.stringify(value)}\n`)
  }
}

function placedText(placed: Parameters<Effects['published']>[0]): unknown {
  const { message, ...place } = placed
  const { payload, ...rest } = message
  return [place, rest, createHash('sha256').update(payload).digest('hex')]
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function main(files: readonly string[]): number {
  if (files.length === 0 || files.some((file) => !file.endsWith('.commands'))) {
    console.error('Usage: node testing/replay/src/replay.ts FILE.commands…')
    return 64
  }
  let failed = 0
  for (const file of files) {
    try {
      const recording = readRecording(file)
      checkRecording(recording)
      console.log(`${file}: ${recording.records.length} commands, hash ${recording.end.hash}`)
    } catch (error) {
      failed++
      console.error(`${file}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return failed === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
