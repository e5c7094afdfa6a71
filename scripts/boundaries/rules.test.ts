import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkWorkspace, type RuleName, ruleNames, type Violation } from './rules.ts'
import type { Source } from './source.ts'
import { readWorkspace } from './workspace.ts'

/** A violation to plant: files to write into a copy of the sources, and the rule and file the check must then name. */
interface Plant {
  readonly what: string
  readonly rule: RuleName
  readonly files: Readonly<Record<string, string>>
  /** Where the violation is reported; the first planted file unless told. */
  readonly at?: string
}

const plants: readonly Plant[] = [
  {
    what: 'a pure package that imports Node',
    rule: 'pure-imports',
    files: {
      'packages/protocol/src/planted.ts': "import { connect } from 'node:net'\nexport const planted = connect\n",
    },
  },
  {
    what: 'a pure package that imports a package from outside',
    rule: 'pure-imports',
    files: { 'packages/state/src/planted.ts': "export { z } from 'zod'\n" },
  },
  ...['Date.now()', 'new Date()', 'Math.random()', 'performance.now()', 'process.hrtime()', 'Buffer.alloc(1)'].map(
    mention,
  ),
  ...['setTimeout(planted, 1)', "globalThis['Date']", "'a'.localeCompare('b')", 'new TextDecoder()'].map(mention),
  {
    what: 'a pure package that mentions a clock only as a type',
    rule: 'pure-names',
    files: { 'packages/state/src/planted.ts': 'export type Planted = Date\n' },
  },
  {
    what: 'a pure package that waits',
    rule: 'pure-names',
    files: { 'packages/state/src/planted.ts': 'export async function planted() {}\n' },
  },
  {
    what: 'a package that imports one above it',
    rule: 'package-order',
    files: {
      'packages/protocol/src/planted.ts':
        "import type { State } from '@concordmq/state'\nexport type Planted = State\n",
    },
  },
  {
    what: 'the client importing the broker, in a test',
    rule: 'package-order',
    files: { 'packages/client/src/planted.test.ts': "import '@concordmq/broker'\n" },
  },
  {
    what: 'a relative import into another package',
    rule: 'only-by-name',
    files: { 'packages/broker/src/access/planted.ts': "export { refuse } from '../../../protocol/src/refusal.ts'\n" },
  },
  {
    what: 'a test that looks inside another package',
    rule: 'only-by-name',
    files: { 'packages/broker/src/access/planted.test.ts': "import '../../../protocol/src/refusal.ts'\n" },
  },
  {
    what: 'a benchmark that looks inside a package, and is no micro benchmark',
    rule: 'only-by-name',
    files: { 'bench/planted.ts': "import '../packages/protocol/src/refusal.ts'\n" },
  },
  {
    what: 'an import past the name of a package',
    rule: 'only-by-name',
    files: { 'packages/broker/src/access/planted.ts': "export { refuse } from '@concordmq/protocol/src/refusal.ts'\n" },
  },
  {
    what: 'an import that the manifest does not declare',
    rule: 'declared',
    files: { 'packages/client/src/planted.ts': "export { WebSocket } from 'ws'\n" },
  },
  {
    what: 'a folder of the broker that imports a higher one, types only',
    rule: 'levels',
    files: {
      'packages/broker/src/model/planted.ts':
        "import type { Planted } from '../sessions/planted.ts'\nexport type Above = Planted\n",
      'packages/broker/src/sessions/planted.ts': 'export type Planted = 1\n',
    },
  },
  {
    what: 'siblings on one level, by a type written in place',
    rule: 'levels',
    files: {
      'packages/broker/src/routing/planted.ts': "export type Sibling = import('../delivery/planted.ts').Planted\n",
      'packages/broker/src/delivery/planted.ts': 'export type Planted = 1\n',
    },
  },
  {
    what: 'a folder of the broker without a level',
    rule: 'levels',
    files: {
      'packages/broker/src/planted/a.ts': "export * from './b.ts'\n",
      'packages/broker/src/planted/b.ts': 'export const b = 1\n',
    },
  },
  {
    what: 'an index.ts below the root of a package',
    rule: 'index-at-root',
    files: { 'packages/broker/src/access/index.ts': 'export const planted = 1\n' },
  },
  {
    what: 'an import of the own index.ts',
    rule: 'index-at-root',
    files: { 'packages/protocol/src/topics/planted.ts': "export { refuse } from '../index.ts'\n" },
  },
  {
    what: 'an index.ts that exports all',
    rule: 'index-at-root',
    files: {
      'packages/client/src/index.ts': "export * from './planted.ts'\n",
      'packages/client/src/planted.ts': 'export const planted = 1\n',
    },
  },
  {
    what: 'a circle of two files',
    rule: 'no-cycle',
    files: {
      'packages/client/src/planted-a.ts': "import { b } from './planted-b.ts'\nexport const a = () => b\n",
      'packages/client/src/planted-b.ts': "import { a } from './planted-a.ts'\nexport const b = () => a\n",
    },
  },
  {
    what: 'a circle of three files, types only',
    rule: 'no-cycle',
    files: {
      'packages/client/src/planted-a.ts': "import type { B } from './planted-b.ts'\nexport type A = B\n",
      'packages/client/src/planted-b.ts': "import type { C } from './planted-c.ts'\nexport type B = C\n",
      'packages/client/src/planted-c.ts': "import type { A } from './planted-a.ts'\nexport type C = A\n",
    },
  },
  {
    what: 'a source that imports a test',
    rule: 'no-test-import',
    files: {
      'packages/client/src/planted.ts': "export { sample } from './planted.test.ts'\n",
      'packages/client/src/planted.test.ts': 'export const sample = 1\n',
    },
  },
  {
    what: 'an import of a file that is not there',
    rule: 'resolves',
    files: { 'packages/client/src/planted.ts': "export { nothing } from './nothing.ts'\n" },
  },
  {
    what: 'a file that does not parse',
    rule: 'parses',
    files: { 'packages/client/src/planted.ts': 'export const planted = (\n' },
  },
  {
    what: 'a package that the table does not know',
    rule: 'known-package',
    files: { 'packages/planted/package.json': '{ "name": "@concordmq/planted" }\n' },
    at: 'packages/planted',
  },
  {
    what: 'a file called utils',
    rule: 'speaking-name',
    files: { 'packages/broker/src/access/utils.ts': 'export const planted = 1\n' },
  },
]

function mention(expression: string): Plant {
  return {
    what: `a pure package that mentions ${expression}`,
    rule: 'pure-names',
    files: { 'packages/protocol/src/planted.ts': `export const planted: unknown = () => ${expression}\n` },
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const copy = mkdtempSync(join(tmpdir(), 'concordmq-boundaries-'))
for (const folder of ['packages', 'package.json']) {
  cpSync(join(root, folder), join(copy, folder), {
    recursive: true,
    filter: (path) => !/\/(node_modules|dist)$/u.test(path),
  })
}
const parsed = new Map<string, Source>()
after(() => rmSync(copy, { recursive: true }))

describe('boundaries.mjs', () => {
  const before = new Set(violationsIn(copy).map(keyOf))

  test('every rule has a planted violation', () => {
    const planted = new Set(plants.map((plant) => plant.rule))
    assert.deepEqual(
      ruleNames.filter((rule) => !planted.has(rule)),
      [],
    )
  })

  for (const plant of plants) {
    test(`check finds ${plant.what}`, () => {
      withPlanted(plant, () => {
        const at = plant.at ?? Object.keys(plant.files)[0] ?? ''
        const found = violationsIn(copy).filter((violation) => !before.has(keyOf(violation)))
        const rules = found.filter(({ place }) => place.startsWith(`${at}:`)).map(({ rule }) => rule)
        assert.ok(
          rules.includes(plant.rule),
          `expected ${plant.rule} at ${at}, found ${JSON.stringify(found, null, 2)}`,
        )
      })
    })
  }

  test('check lets a pure package name a property, a method or an option like a forbidden thing', () => {
    const text = 'export const planted = { Date: 1, process(x: { performance: number }) { return x.performance } }\n'
    const plant: Plant = { what: '', rule: 'pure-names', files: { 'packages/protocol/src/planted.ts': text } }
    withPlanted(plant, () => {
      assert.deepEqual(
        violationsIn(copy).filter((violation) => !before.has(keyOf(violation))),
        [],
      )
    })
  })

  test('the command fails on a planted violation and names it', () => {
    const plant = plants[0]
    assert.ok(plant)
    withPlanted(plant, () => {
      const script = join(root, 'scripts/guard.js')
      const { status, stdout } = spawnSync(process.execPath, [script, 'boundaries', '--root', copy], {
        encoding: 'utf8',
      })
      assert.equal(status, 1)
      assert.match(stdout, /packages\/protocol\/src\/planted\.ts:1 {2}pure-imports: /)
    })
  })
})

function violationsIn(folder: string): Violation[] {
  return checkWorkspace(readWorkspace(folder, parsed))
}

function keyOf({ rule, place }: Violation): string {
  return `${rule} ${place}`
}

/** Writes the planted files, over existing ones if need be, and puts back what was there. */
function withPlanted(plant: Plant, check: () => void): void {
  const undo: (() => void)[] = []
  for (const [name, text] of Object.entries(plant.files)) {
    const path = join(copy, name)
    if (existsSync(path)) {
      const original = readFileSync(path)
      undo.push(() => writeFileSync(path, original))
    } else {
      const created = mkdirSync(dirname(path), { recursive: true })
      undo.push(() => rmSync(created ?? path, { recursive: true }))
    }
    writeFileSync(path, text)
  }
  try {
    check()
  } finally {
    for (const step of undo.reverse()) step()
  }
}
