/**
 * Engines with a fault planted in them, to see that the simulator finds it: a copy of the package's sources in a temporary folder
 * in which one piece of text is another. The product has no switch for it.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { EngineSource } from './world/node.ts'

export interface PlantedFault {
  /** What is wrong with the engine, as a sentence. */
  readonly name: string
  readonly edits: readonly Edit[]
}

interface Edit {
  /** Under `packages/consensus/src`. */
  readonly file: string
  /** Stands in the file once. */
  readonly find: string
  readonly replace: string
}

const sources = fileURLToPath(new URL('../../../packages/consensus/src', import.meta.url))

/** The engine with the fault. Throws when the text is not there once: the source has changed, and the fault must follow. */
export async function plantedEngine({ name, edits }: PlantedFault): Promise<EngineSource> {
  const folder = mkdtempSync(join(tmpdir(), 'concordmq-planted-'))
  try {
    cpSync(sources, join(folder, 'src'), { recursive: true, filter: (path) => !path.endsWith('.test.ts') })
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    for (const edit of edits) plant(name, join(folder, 'src', edit.file), edit)
    const module = (await import(pathToFileURL(join(folder, 'src/engine.ts')).href)) as { Engine: EngineSource }
    return module.Engine
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function plant(name: string, path: string, { file, find, replace }: Edit): void {
  const pieces = readFileSync(path, 'utf8').split(find)
  if (pieces.length !== 2)
    throw new Error(`Cannot plant "${name}": the text stands ${pieces.length - 1} times in ${file}`)
  writeFileSync(path, pieces.join(replace))
}
