/**
 * Preloaded into a node: writes down what its machine is given from the order, and the hashes of its state at each checkpoint, in the
 * file that `CONCORDMQ_TEST_RECORDING` names. Lines are values of `node:v8` in base64 (`replay-proof.ts` reads them).
 */
import { openSync, writeSync } from 'node:fs'
import { serialize } from 'node:v8'
import type { Machine } from '@concordmq/state'
import type { OrderedSnapshot, OrderedUnit } from '../../../../packages/broker/src/model/ordered-log.ts'
import type { Recorded } from '../replay-proof.ts'
import { changeSource } from './change-source.ts'

const file = openSync(process.env['CONCORDMQ_TEST_RECORDING'] ?? '/dev/null', 'a')

function write(recorded: Recorded): void {
  writeSync(file, `${serialize(recorded).toString('base64')}\n`)
}

let begun = false

Object.assign(globalThis, {
  recorder: {
    ordered({ step, linearised, jailed, messages }: OrderedUnit, machine: Machine): void {
      // Without the engine's own hash, which is a function: the fresh machine takes that of the package, and has to agree.
      const { sha256: _sha256, ...settings } = machine.settings
      if (!begun) write({ type: 'settings', settings })
      begun = true
      const copies = messages.map((message) => ({ ...message, bytes: message.bytes.slice() }))
      write({ type: 'unit', unit: { step, linearised, jailed, messages: copies } })
    },
    checkpoint(position: number, snapshot: OrderedSnapshot): OrderedSnapshot {
      // Its place among the units is where it was taken, not when its hashes are known.
      write({ type: 'checkpoint', position })
      void snapshot.hashes().then((hashes) => {
        write({ type: 'hashes', position, hashes: hashes.map((hash) => Buffer.from(hash).toString('hex')) })
      })
      return snapshot
    },
  },
})

changeSource({
  file: 'ordering/replica.ts',
  from: 'this.#o.sequencer.ordered(unit)',
  to: `globalThis.recorder.ordered(unit, this.#o.machine)
    this.#o.sequencer.ordered(unit)`,
})
changeSource({
  file: 'ordering/replica.ts',
  from: 'return this.#snapshot\n',
  to: 'return globalThis.recorder.checkpoint(_position, this.#snapshot)\n',
})
