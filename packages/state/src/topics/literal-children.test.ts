import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hashOf, type Leveled, LevelTable } from './level-table.ts'
import {
  addLiteralChild,
  forEachLiteralChild,
  hasLiteralChild,
  type LiteralChildren,
  literalChild,
  removeLiteralChild,
  replaceLiteralChild,
} from './literal-children.ts'

class Child implements Leveled {
  readonly levelText: string
  asked = 0

  constructor(levelText: string) {
    this.levelText = levelText
  }

  isLevel(text: string, start: number, end: number): boolean {
    this.asked++
    return text.slice(start, end) === this.levelText
  }
}

function parent(): LiteralChildren<Child> {
  return { level: undefined, child: undefined, children: undefined }
}

function addChild(node: LiteralChildren<Child>, level: string): void {
  addLiteralChild(node, `a/${level}/b`, 2, 2 + level.length, new Child(level))
}

function childrenOf(node: LiteralChildren<Child>): string[] {
  const found: string[] = []
  forEachLiteralChild(node, (child) => found.push(child.levelText))
  return found.sort()
}

/** So many texts whose hashes have the same lower 10 bits. */
function crowded(count: number): string[] {
  const texts: string[] = []
  for (let n = 0; texts.length < count; n++) {
    const text = `crowd${n}`
    if ((hashOf(text, 0, text.length) & 0x3ff) === 77) texts.push(text)
  }
  return texts
}

test('children are found by their text whatever came and went, however many there are', () => {
  const name = fc.oneof(
    fc.nat(300).map((n) => `level-${n}`),
    fc.constantFrom('', 'ä', '𝄞', ...crowded(10)),
  )
  const step = fc.record({ what: fc.constantFrom('put', 'put', 'put', 'take', 'replace'), name })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: 'max' }), (steps) => {
      const node = parent()
      const model = new Map<string, Child>()
      for (const { what, name: level } of steps) {
        const there = literalChild(node, `a/${level}/b`, 2, 2 + level.length)
        assert.equal(there, model.get(level))
        if (what === 'take') {
          if (there !== undefined) removeLiteralChild(node, level)
          model.delete(level)
        } else {
          const child = new Child(level)
          if (there === undefined) addLiteralChild(node, level, 0, level.length, child)
          else replaceLiteralChild(node, level, 0, level.length, child)
          model.set(level, child)
        }
        assert.equal(hasLiteralChild(node), model.size > 0)
      }
      assert.deepEqual(childrenOf(node), [...model.keys()].sort())
      for (const [level, child] of model) assert.equal(literalChild(node, level, 0, level.length), child)
    }),
    { numRuns: 60 },
  )
})

test('many children lie in a table, and one that is left stands alone again', () => {
  const node = parent()
  for (let n = 0; n < 10_000; n++) addChild(node, `n${n}`)
  assert.ok(node.children instanceof LevelTable)
  for (let n = 0; n < 9_999; n++) removeLiteralChild(node, `n${n}`)
  assert.deepEqual([node.children, node.level, childrenOf(node)], [undefined, 'n9999', ['n9999']])
})

test('one that comes and goes beside many leaves nothing behind', () => {
  const node = parent()
  for (let n = 0; n < 1_000; n++) addChild(node, `n${n}`)
  let asked = 0
  for (let n = 0; n < 100_000; n++) {
    const child = new Child('guest')
    addLiteralChild(node, 'guest', 0, 5, child)
    removeLiteralChild(node, 'guest')
    asked += child.asked
  }
  assert.ok(asked < 200_000, `${asked} comparisons`)
  assert.equal(childrenOf(node).length, 1_000)
})

test('texts that were chosen to crowd one place make a map of it, and are all found', () => {
  const node = parent()
  for (let n = 0; n < 100; n++) addChild(node, `n${n}`)
  assert.ok(node.children instanceof LevelTable)
  const crowd = crowded(140)
  for (const level of crowd) addChild(node, level)
  assert.ok(node.children instanceof Map)
  for (const level of crowd) assert.equal(literalChild(node, level, 0, level.length)?.levelText, level)
  assert.equal(childrenOf(node).length, 240)
})
