/**
 * `createBroker()` that records: where `CONCORDMQ_TEST_RECORD_DIR` names a folder, every command of the broker's ordered
 * machine is written there, to be replayed by `testing/replay`. Without it, or where a test has a use of its own for the
 * command log, it is `createBroker()`.
 *
 *   NAME.commands   records of `@concordmq/state`, joined
 *   NAME.json       written when the broker is closed: the settings of its machine, and the hash of its state then
 *
 * A recording without its second file was not finished: the process that wrote it ended before it closed its broker.
 */
import assert from 'node:assert/strict'
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Broker, type BrokerOptions, createBroker } from '@concordmq/broker'
import { encodeRecord, type MachineSettings } from '@concordmq/state'
import { resolveOptions } from '../../../packages/broker/src/config/check.ts'
import { orderedMachineSettings } from '../../../packages/broker/src/config/machine-settings.ts'

/** What stands in `NAME.json`. */
export interface RecordingEnd {
  readonly commands: number
  /** The broker's own hash of its state, hexadecimal. */
  readonly hash: string
  readonly settings: MachineSettings
}

/** Bytes gathered before they are written. */
const CHUNK_BYTES = 1 << 20

let count = 0

export async function createRecordedBroker(options: BrokerOptions = {}): Promise<Broker> {
  const folder = process.env['CONCORDMQ_TEST_RECORD_DIR']
  if (folder === undefined || options.commandLog !== undefined) return createBroker(options)
  return recordInto(join(folder, `${origin()}-${process.pid}-${count++}`), options)
}

/** Records into `PATH.commands` and `PATH.json`. */
export async function recordInto(path: string, options: BrokerOptions): Promise<Broker> {
  const file = openSync(`${path}.commands`, 'w')
  let gathered: Uint8Array[] = []
  let gatheredBytes = 0
  let commands = 0
  let finished = false
  const flush = (): void => {
    writeSync(file, Buffer.concat(gathered))
    gathered = []
    gatheredBytes = 0
  }
  const broker = await createBroker({
    ...options,
    commandLog: (position, timeUs, command) => {
      // What sockets report after the broker was closed comes too late for its hash.
      if (finished) return
      const record = encodeRecord({ position, timeUs, command })
      commands++
      gathered.push(record)
      gatheredBytes += record.length
      if (gatheredBytes >= CHUNK_BYTES) flush()
    },
  })
  const close = broker.close.bind(broker)
  broker.close = async (closeOptions) => {
    await close(closeOptions)
    if (finished) return
    finished = true
    const { stateHash } = broker
    assert.ok(stateHash !== undefined, 'A broker with a command log keeps a hash')
    flush()
    closeSync(file)
    const end: RecordingEnd = {
      commands,
      hash: Buffer.from(stateHash).toString('hex'),
      settings: orderedMachineSettings(resolveOptions(options), { hashing: true }),
    }
    writeFileSync(`${path}.json`, JSON.stringify(end))
  }
  return broker
}

/** Workspace and name of the test file that runs: `conformance-session`. */
function origin(): string {
  const file = process.argv[1] ?? 'unknown'
  const folder = dirname(file)
  const workspace = basename(basename(folder) === 'src' ? dirname(folder) : folder)
  return `${workspace}-${basename(file).replace(/(\.slow)?(\.test)?\.ts$/u, '')}`
}
