/**
 * Test builds of the program: a module that is preloaded changes one place of one of its files as it is loaded. So a node can lie,
 * or have its packets taken another way, and the product has no switch for either. A place that is not found exactly once ends the
 * process: the test would else pass without doing anything.
 */
import { registerHooks } from 'node:module'

export interface SourceChange {
  /** The end of the file's address, for example `cluster/consensus.ts`. */
  readonly file: string
  readonly from: string
  readonly to: string
}

export function changeSource({ file, from, to }: SourceChange): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith(file) || loaded.source === undefined || loaded.source === null) return loaded
      const source =
        typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString()
      if (source.split(from).length !== 2) throw new Error(`${url} does not have exactly once: ${from}`)
      return { ...loaded, source: source.replace(from, () => to) }
    },
  })
}
