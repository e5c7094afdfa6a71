import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { CommandError } from '../command-error.ts'
import { openPrompt } from './prompt.ts'

function piped(...chunks: string[]) {
  return openPrompt(Object.assign(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), { isTTY: false }) as never)
}

test('piped input answers one question a line, however it is cut', async () => {
  const prompt = piped('my', 'agent\r\nmypass', 'word\nrest')
  assert.equal(prompt.interactive, false)
  assert.equal(await prompt.ask('User name: '), 'myagent')
  assert.equal(await prompt.askSecret('Password: '), 'mypassword')
  assert.equal(await prompt.ask('More: '), 'rest')
})

test('an empty line is an empty answer, the end is none', async () => {
  const prompt = piped('\n')
  assert.equal(await prompt.askSecret('Password: '), '')
  await assert.rejects(prompt.ask('User name: '), (error) => {
    assert.ok(error instanceof CommandError)
    assert.equal(error.exitCode, 64)
    assert.match(error.message, /ended before "User name" was answered/)
    return true
  })
})

test('a line without end is refused, not collected for ever', async () => {
  const prompt = piped('x'.repeat(40_000), 'x'.repeat(40_000))
  await assert.rejects(prompt.ask('User name: '), /longer than 65536 characters/)
})
