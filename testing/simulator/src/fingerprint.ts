/**
 * A number for each seed that changes when an engine does anything else than before: all inputs and effects of all nodes of a run,
 * in their order, with their bytes. A change that is to make the engine or the simulator faster leaves every line as it was:
 *
 *     node src/fingerprint.ts --seed 1 --seeds 60 > before     # then the change
 *     node src/fingerprint.ts --seed 1 --seeds 60 | diff before -
 */
import { parseArgs } from 'node:util'
import { Engine } from '../../../packages/consensus/src/engine.ts'
import type { Effect } from '../../../packages/consensus/src/model/effect.ts'
import type { Input } from '../../../packages/consensus/src/model/input.ts'
import { parseOptions, runOne } from './one-run.ts'
import type { EngineSource } from './world/node.ts'

/** FNV-1a over everything that is told to it. */
class Fingerprint {
  #hash = 2_166_136_261

  get text(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  /** Objects by their fields, as they stand; bytes by what is in them. */
  add(value: unknown): void {
    if (ArrayBuffer.isView(value)) {
      for (const byte of new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) this.#mix(byte)
      this.#mix(value.byteLength)
    } else if (Array.isArray(value)) {
      for (const item of value) this.add(item)
      this.#mix(value.length)
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, field] of Object.entries(value)) {
        this.#addText(name)
        this.add(field)
      }
    } else this.#addText(String(value))
  }

  #addText(text: string): void {
    for (let at = 0; at < text.length; at++) this.#mix(text.charCodeAt(at))
  }

  #mix(byte: number): void {
    this.#hash = Math.imul(this.#hash ^ byte, 16_777_619)
  }
}

/** The product's engine, with a witness. */
function watchedEngine(fingerprint: Fingerprint): EngineSource {
  return {
    open: (options, records) => {
      const engine = Engine.open(options, records)
      const step = engine.step.bind(engine)
      engine.step = (input: Input): readonly Effect[] => {
        const effects = step(input)
        fingerprint.add(input)
        fingerprint.add(effects)
        return effects
      }
      return engine
    },
  }
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    n: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '200' },
    faults: { type: 'string', default: 'all' },
  },
})
const options = parseOptions({ ...values, trace: false, 'real-cryptography': false })
for (let seed = options.seed; seed < options.seed + options.seeds; seed++) {
  const fingerprint = new Fingerprint()
  const { failure } = runOne(options, seed, watchedEngine(fingerprint))
  console.log(`${seed} ${failure === undefined ? 'clean' : 'failed'} ${fingerprint.text}`)
}
