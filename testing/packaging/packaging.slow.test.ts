import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

/**
 * The published form, as a stranger gets it: all packages packed, installed into an empty project that knows nothing of this
 * checkout, and used from there. Outside packages come from npm's cache or the registry.
 */

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'concordmq-packaging-'))
const project = join(folder, 'project')
const env = { ...process.env, PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter) }
const manifests = globSync('packages/*/package.json', { cwd: root }).map(
  (path) =>
    JSON.parse(readFileSync(join(root, path), 'utf8')) as { name: string; version: string; description: string },
)

describe('the packed packages', () => {
  before(() => {
    run(process.execPath, [join(root, 'scripts/guard.js'), 'pack', '--out', join(folder, 'packed')], root)
    mkdirSync(project)
    writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }\n')
    const tarballs = globSync('*.tgz', { cwd: join(folder, 'packed') }).map((name) => join(folder, 'packed', name))
    assert.equal(tarballs.length, manifests.length)
    run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', ...tarballs], project)
  })
  after(() => rmSync(folder, { recursive: true }))

  for (const { name, version } of manifests) {
    test(`${name} can be imported and exports something`, () => {
      const code = `const m = await import('${name}'); console.log(Object.keys(m).length)`
      assert.ok(Number(run(process.execPath, ['--input-type=module', '-e', code], project)) > 0)
    })

    test(`${name} carries its version, README and license, and neither sources nor tests`, () => {
      const installed = join(project, 'node_modules', name)
      const files = globSync('**/*', { cwd: installed })
      assert.equal(
        (JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { version: string }).version,
        version,
      )
      assert.ok(files.includes('README.md') && files.includes('LICENSE') && files.includes(join('dist', 'index.d.ts')))
      const wrong = files.filter((path) => /\.test\./u.test(path) || (path.endsWith('.ts') && !path.endsWith('.d.ts')))
      assert.deepEqual(wrong, [])
    })
  }

  test("@concordmq/broker/testing has a suite for each part, which a stranger's own parts pass", () => {
    writeFileSync(join(project, 'parts.mjs'), strangersParts)
    assert.match(
      run(process.execPath, ['parts.mjs'], project),
      /^authenticator \d+, topic store \d+, sequencer \d+, session store \d+\n$/u,
    )
  })

  test('their declarations compile in a strict program', () => {
    const lines = manifests.map(
      ({ name }, index) => `import * as m${index} from '${name}'\nexport const use${index} = m${index}\n`,
    )
    writeFileSync(join(project, 'program.ts'), lines.join(''))
    const compilerOptions = {
      strict: true,
      noEmit: true,
      module: 'nodenext',
      target: 'es2024',
      lib: ['es2025', 'esnext.disposable'],
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
      skipLibCheck: true,
    }
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
    run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], project)
  })

  test('concordmq --version prints the version', () => {
    const version = manifests.find(({ name }) => name === 'concordmq')?.version
    assert.match(
      run(join(project, 'node_modules/.bin/concordmq'), ['--version'], project),
      new RegExp(`\\b${RegExp.escape(version ?? '')}\\b`, 'u'),
    )
  })

  test('concordmq runs a broker that its own pub and sub reach, and stops when told to', {
    timeout: 60_000,
  }, async () => {
    const program = join(project, 'node_modules/.bin/concordmq')
    const broker = spawn(program, ['dev', '--port', '0', '--mqtts-port', '0', '--websockets-port', '0'], {
      cwd: project,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ended = Promise.withResolvers<number | null>()
    broker.on('close', ended.resolve)
    try {
      const port = await printedPort(broker)
      run(program, ['pub', '-p', port, '-t', 'packed', '-m', 'Hello!', '-r'], project)
      assert.equal(run(program, ['sub', '-p', port, '-t', 'packed', '-C', '1', '-W', '20'], project), 'Hello!\n')
    } finally {
      broker.kill('SIGTERM')
    }
    assert.equal(await ended.promise, 0)
  })
})

/** The port after `MQTT` in what `concordmq dev` prints; rejects with all of it if the program ends before. */
async function printedPort(broker: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let printed = ''
  const read = (chunk: Buffer): void => {
    printed += chunk.toString()
    const port = /^ *MQTT +\S+:(\d+)$/mu.exec(printed)?.[1]
    if (port !== undefined) resolve(port)
  }
  broker.stdout?.on('data', read)
  broker.stderr?.on('data', read)
  broker.on('close', () => reject(new Error(`concordmq dev ended early:\n${printed}`)))
  return await promise
}

/** What the program printed; throws with all of it if it fails. */
function run(program: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}\n${stdout}${stderr}`)
  return stdout
}

/** What somebody who has nothing but the packages could write: one of each part, and the suites over them. */
const strangersParts = `
import { builtInTopicStore } from '@concordmq/broker'
import { authenticatorSuite, sequencerSuite, sessionStoreSuite, topicStoreSuite } from '@concordmq/broker/testing'

const authenticator = {
  authenticate: async (_client, { username, password }) => username === 'ada' && String(Buffer.from(password ?? [])) === 'x',
}
const sequencer = ({ machine, effects, journal, position }) => {
  let timeUs = machine.timeUs
  const waiting = []
  let busy = false
  const watch = setInterval(() => {
    if (machine.nextDeadlineUs <= made.nowUs()) made.submit({ type: 'tick' })
  }, 20)
  const made = {
    submit(...submitted) {
      waiting.push(submitted)
      if (busy) return
      busy = true
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [command, kept, applied] = next
        const before = machine.durableVersion
        const at = this.nowUs()
        journal.observe(++position, at, command)
        const outcome = machine.apply(command, position, at, effects)
        applied?.(outcome)
        if (machine.durableVersion === before) kept?.(outcome)
        else if (kept === undefined) journal.changed()
        else journal.whenKept(kept, outcome)
      }
      busy = false
    },
    take: (count) => void (position += count),
    get trouble() { return journal.trouble },
    nowUs: () => (timeUs = Math.max(timeUs, Date.now() * 1000)),
    close: () => clearInterval(watch),
  }
  return made
}
class SessionStore {
  records_ = new Map()
  contents = new Map()
  async *records() { yield [...this.records_.values()] }
  async content(chunk) {
    const parts = [...(this.contents.get(chunk) ?? [])].sort(([a], [b]) => a - b)
    return new Uint8Array(Buffer.concat(parts.map(([, bytes]) => bytes)))
  }
  async commit({ gone, records, chunksGone, contents }) {
    for (const key of gone) this.records_.delete(String(key))
    for (const { key, value } of records) this.records_.set(String(key), [key, value])
    for (const chunk of chunksGone) this.contents.delete(chunk)
    for (const { chunk, part, anew, content } of contents) {
      if (anew || !this.contents.has(chunk)) this.contents.set(chunk, new Map())
      this.contents.get(chunk).set(part, content)
    }
  }
  async check() { return [] }
  async close() {}
}
const suites = {
  authenticator: authenticatorSuite(() => ({ authenticator, good: { username: 'ada', password: 'x' } })),
  'topic store': topicStoreSuite(() => builtInTopicStore()),
  sequencer: sequencerSuite(sequencer),
  'session store': sessionStoreSuite(() => ({ open: async () => new SessionStore(), remembers: false })),
}
for (const cases of Object.values(suites)) for (const { run } of cases) await run()
console.log(Object.entries(suites).map(([name, { length }]) => name + ' ' + length).join(', '))
`
