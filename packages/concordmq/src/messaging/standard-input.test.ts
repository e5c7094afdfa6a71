import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openInput } from './standard-input.ts'

async function* chunks(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}

test('openInput() gives line after line, whatever the borders of the chunks', async () => {
  const part = fc.array(fc.constantFrom('a', 'bc', '', '\n', '\n\n', 'd\n', '\ne'), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(part, async (texts) => {
      const lines: string[] = []
      const input = openInput(chunks(...texts))
      for (let line = await input.next(); line !== undefined; line = await input.next()) lines.push(line.toString())
      const expected = texts.join('').split('\n')
      if (expected.at(-1) === '') expected.pop()
      assert.deepEqual(lines, expected)
    }),
  )
})

test('openInput() takes \\r\\n as the end of a line', async () => {
  assert.equal(String(await openInput(chunks('a\r\nb')).next()), 'a')
})

test('openInput() gives the rest after the first line, as a password and a message', async () => {
  const input = openInput(chunks('secret\nmes', 'sage\n'))
  assert.equal(String(await input.next()), 'secret')
  assert.equal(String(await input.rest()), 'message\n')
})
