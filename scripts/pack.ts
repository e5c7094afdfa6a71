/**
 * `npm run pack -- --out FOLDER`: builds every public package and packs it as it is published; `--check` stops before the
 * packing and looks at the result with publint.
 *
 * Sources run unbuilt in the workspace, but Node refuses TypeScript below `node_modules`, so what is published is JavaScript
 * with declarations. Its manifest differs (`exports` leads to `dist`), and npm ignores `publishConfig.exports`; so the
 * published form is laid out in a folder of its own, where the packages find each other's built declarations and nothing of
 * the workspace is touched. Only whole sets are packed: all packages carry one version and name each other exactly.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { packages as packageRules } from '../boundaries.mjs'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly private?: boolean
  readonly bin?: Readonly<Record<string, string>>
  readonly files: readonly string[]
  readonly exports: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

/** A package that cannot be made; what there is to say has been printed. */
class PackError extends Error {}

const root = fileURLToPath(new URL('..', import.meta.url))
const { values: options } = parseArgs({
  options: { out: { type: 'string' }, check: { type: 'boolean', default: false } },
})
if (options.out === undefined && !options.check) {
  process.stderr.write('Say where the packages go: npm run pack -- --out FOLDER\n')
  process.exit(64)
}

// Inside the checkout, so that the compiler finds the outside packages; one folder per run, so that two runs do not meet.
mkdirSync(join(root, '.out'), { recursive: true })
const stage = mkdtempSync(join(root, '.out', 'pack-'))
try {
  let problems = 0
  for (const folder of publicPackages()) {
    const manifest = layOut(folder)
    compile(folder)
    problems += await lint(folder, manifest.name)
    if (options.out !== undefined) process.stdout.write(`${pack(folder, resolve(options.out))}\n`)
  }
  process.stdout.write(`pack: ${publicPackages().length} packages, ${problems} problems\n`)
  process.exitCode = problems === 0 ? 0 : 1
} catch (error) {
  if (!(error instanceof PackError)) throw error
  process.stdout.write(`${error.message}\n`)
  process.exitCode = 1
} finally {
  rmSync(stage, { recursive: true })
}

/** Folder names in the order of `boundaries.mjs`, so that each finds what it imports already built. */
function publicPackages(): string[] {
  return Object.keys(packageRules).filter((folder) => manifestOf(folder).private !== true)
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as Manifest
}

/** Copies sources without tests, writes the published manifest, and links the package for those built after it. */
function layOut(folder: string): Manifest {
  const from = join(root, 'packages', folder)
  const to = join(stage, 'packages', folder)
  for (const path of globSync(['src/**/*.ts', 'bin/**/*.js'], {
    cwd: from,
    exclude: (path) => /\.(test|testkit)\.ts$/u.test(path),
  })) {
    cpSync(join(from, path), join(to, path))
  }
  cpSync(join(from, 'README.md'), join(to, 'README.md'))
  cpSync(join(root, 'LICENSE'), join(to, 'LICENSE'))
  if (existsSync(join(from, 'node_modules'))) symlinkSync(join(from, 'node_modules'), join(to, 'node_modules'))
  const manifest = manifestOf(folder)
  const published = {
    ...manifest,
    exports: { ...publishedExports(manifest.exports), './package.json': './package.json' },
  }
  writeFileSync(join(to, 'package.json'), `${JSON.stringify(published, null, 2)}\n`)
  const link = join(stage, 'node_modules', manifest.name)
  mkdirSync(dirname(link), { recursive: true })
  symlinkSync(to, link)
  return manifest
}

/** `./src/x.ts` of the workspace is `./dist/x.js` with its declarations once built. */
function publishedExports(exports: Manifest['exports']): Record<string, { types: string; default: string }> {
  return Object.fromEntries(
    Object.entries(exports).map(([entry, source]) => {
      const built = source.replace('./src/', './dist/').replace(/\.ts$/u, '')
      return [entry, { types: `${built}.d.ts`, default: `${built}.js` }]
    }),
  )
}

function compile(folder: string): void {
  const config = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: {
      rootDir: 'src',
      outDir: 'dist',
      types: packageRules[folder]?.pure === true ? [] : ['node'],
      // The sources are not published, so the maps carry them.
      inlineSources: true,
    },
    include: ['src'],
  }
  const file = join(stage, 'packages', folder, 'tsconfig.json')
  writeFileSync(file, JSON.stringify(config))
  const compiler = fileURLToPath(import.meta.resolve('typescript/package.json').replace('package.json', 'bin/tsc'))
  const { status } = spawnSync(process.execPath, [compiler, '-p', file], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new PackError(`Cannot build ${folder}: the compiler ended with ${status}`)
}

/** Prints what publint finds; the number of findings. */
async function lint(folder: string, name: string): Promise<number> {
  const pkgDir = join(stage, 'packages', folder)
  const { messages, pkg } = await publint({ pkgDir, strict: true, pack: false })
  for (const message of messages)
    process.stdout.write(`${name}: ${formatMessage(message, pkg, { color: false }) ?? message.code}\n`)
  return messages.length
}

/** The path of the tarball. */
function pack(folder: string, out: string): string {
  mkdirSync(out, { recursive: true })
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', out]
  const answer = execFileSync('npm', args, {
    cwd: join(stage, 'packages', folder),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [made] = JSON.parse(answer) as { filename: string }[]
  if (made === undefined) throw new PackError(`npm pack made nothing of ${folder}`)
  return join(out, made.filename)
}
