import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
    execFileSync('mkdir', [project])
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
})

/** Standard output; throws with everything the program said if it fails. */
function run(program: string, args: readonly string[], cwd: string): string {
  return execFileSync(program, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
