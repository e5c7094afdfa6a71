import assert from 'node:assert/strict'
import { test } from 'node:test'
import { citedIn, titlesInResults, titlesInSource } from './titles.ts'

const titles = (source: string): string[] => titlesInSource('a.test.ts', source).map(({ title }) => title)

test('citedIn() finds the statements of both versions and nothing else', () => {
  const title = 'server closes [MQTT-3.1.0-2] [MQTT3-3.1.0-2] [MQTT-4.2-1] MQTT-1.5.4-1 [MQTT-x]'
  assert.deepEqual(citedIn(title), ['MQTT-3.1.0-2', 'MQTT3-3.1.0-2', 'MQTT-4.2-1'])
})

test('titlesInSource() finds tests, suites and subtests, in any quotes', () => {
  const source = `
    describe('a', () => {
      test("it's b", async (t) => { await t.test(\`c \${x + '}'} d\`, () => {}) })
      it.only('e', () => {})
    })`
  assert.deepEqual(titles(source), ['a', "it's b", 'c … d', 'e'])
})

test('titlesInSource() leaves out skipped and unwritten tests, and all that is inside a skipped suite', () => {
  const source = `
    test.skip('a', () => {})
    test.todo('b')
    test('c', { skip: true }, () => {})
    test('d', { concurrency: true, todo: 'later' }, () => {})
    describe.skip('e', () => { test('f', () => {}) })
    test('g', { skip: external }, () => {})`
  assert.deepEqual(titles(source), ['g'])
})

test('titlesInSource() leaves out comments, texts and patterns that look like tests', () => {
  const source = `
    // test('a', () => {})
    /* test('b', () => {}) */
    const text = "test('c', () => {})"
    const pattern = /['"/]test\\('d'/.exec(text)
    const half = 1 / 2 / 3
    test('e', () => {})`
  assert.deepEqual(titles(source), ['e'])
})

test('titlesInResults() counts only tests that passed', () => {
  const lines = [
    '{"file":"a","title":"one","status":"passed"}',
    '{"file":"a","title":"two","status":"skipped"}',
    '{"file":"a","title":"three","status":"failed"}',
    '',
  ]
  assert.deepEqual(titlesInResults(lines.join('\n')), [{ file: 'a', title: 'one' }])
})

test('titlesInResults() refuses a line of another form', () => {
  assert.throws(() => titlesInResults('{"file":"a"}'), /Not a line of test results/)
})
