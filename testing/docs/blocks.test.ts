import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { blocksOf, holdsInOrder } from './blocks.ts'

const fence = '```'

describe('blocksOf()', () => {
  test('finds a block with its words, its line and its code', () => {
    const [block, ...others] = blocksOf('a.md', `Text.\n\n${fence}sh run broker\nls\npwd\n${fence}\n`)
    assert.deepEqual(others, [])
    assert.deepEqual(
      { line: block?.line, run: block?.run, broker: block?.broker, code: block?.code },
      { line: 3, run: true, broker: true, code: 'ls\npwd\n' },
    )
  })

  test('puts the setup of the comment above before the code', () => {
    const text = `<!-- setup\nconst a = 1\n-->\n\n${fence}ts run\nconsole.log(a)\n${fence}\n`
    assert.equal(blocksOf('a.md', text)[0]?.code, 'const a = 1\nconsole.log(a)\n')
  })

  test('forgets a comment when text stands between it and the fence', () => {
    const text = `<!-- setup\nconst a = 1\n-->\nText.\n\n${fence}ts run\n0\n${fence}\n`
    assert.equal(blocksOf('a.md', text)[0]?.code, '0\n')
  })

  test('joins the expected output to the block before it', () => {
    const text = `${fence}sh run\necho a\n${fence}\n\nprints\n\n${fence}text output\na\n${fence}\n`
    assert.deepEqual(blocksOf('a.md', text)[0]?.output, ['a'])
  })

  test('keeps the reason why a block is not run', () => {
    const text = `<!-- not run: needs a second machine -->\n${fence}sh\nssh b\n${fence}\n`
    const [block] = blocksOf('a.md', text)
    assert.equal(block?.run, false)
    assert.equal(block?.notRunBecause, 'needs a second machine')
  })

  test('leaves pictures and samples alone', () => {
    assert.deepEqual(blocksOf('a.md', `${fence}mermaid\na --> b\n${fence}\n${fence}toml\na = 1\n${fence}\n`), [])
  })

  test('takes a fence inside a longer fence for text', () => {
    assert.deepEqual(blocksOf('a.md', `${fence}` + `\`md\n${fence}sh run\nls\n${fence}\n${fence}\`\n`), [])
  })

  test('refuses a fence that is never closed', () => {
    assert.throws(() => blocksOf('a.md', `${fence}sh run\nls\n`), /a\.md:1: the fence is never closed/)
  })

  test('refuses output without a block that runs', () => {
    assert.throws(
      () => blocksOf('a.md', `${fence}sh\nls\n${fence}\n${fence}text output\na\n${fence}\n`),
      /a\.md:4: output without/,
    )
  })
})

describe('holdsInOrder()', () => {
  test('takes the lines in order, with others between them', () => {
    assert.equal(holdsInOrder('a\nx\nb\n', ['a', 'b']), true)
    assert.equal(holdsInOrder('b\na\n', ['a', 'b']), false)
  })

  test('lets … stand for anything within a line and nothing else', () => {
    assert.equal(holdsInOrder('listening on 127.0.0.1:4711', ['listening on …:…']), true)
    assert.equal(holdsInOrder('listening.on 1', ['listening on …']), false)
  })

  test('does not count one line twice', () => {
    assert.equal(holdsInOrder('a\n', ['a', 'a']), false)
  })
})
