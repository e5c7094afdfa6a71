/** The load generator `mqload.c`: built where its source is newer, run to its end, its report read. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const here = dirname(fileURLToPath(import.meta.url))

/** What it prints, nested objects as `broker.cpu_s`; what is not a number is left out. */
export type Report = Readonly<Record<string, number>>

/** The path of the program. With TLS where OpenSSL can be compiled against, else without. Throws if there is no compiler. */
export function buildLoad(): string {
  const program = join(here, '..', '.build', 'mqload')
  const source = join(here, 'mqload.c')
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program
  mkdirSync(dirname(program), { recursive: true })
  const compile = (...more: readonly string[]): { readonly status: number | null; readonly stderr: string } =>
    spawnSync('cc', ['-std=c11', '-O2', '-o', program, source, ...more], { encoding: 'utf8' })
  if (compile('-DMQLOAD_TLS', '-lssl', '-lcrypto').status === 0) return program
  const { status, stderr } = compile()
  if (status !== 0) throw new Error(`Cannot build the load generator: ${stderr}`)
  return program
}

/** Runs it, on one core where `cpu` names it. A report says with `exit` how it ended; with `exit` alone where nothing was said. */
export async function runLoad(args: readonly string[], cpu?: number): Promise<Report> {
  const program = buildLoad()
  const command = cpu === undefined ? [program, ...args] : ['taskset', '-c', String(cpu), program, ...args]
  const { stdout } = await promisify(execFile)(command[0] as string, command.slice(1), { maxBuffer: 2 ** 24 }).catch(
    (error: { readonly stdout?: string }) => ({ stdout: error.stdout ?? '' }),
  )
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) return { exit: 1 }
  return flat(JSON.parse(line) as object)
}

function flat(value: object, prefix = ''): Record<string, number> {
  const numbers: Record<string, number> = {}
  for (const [key, field] of Object.entries(value) as [string, unknown][]) {
    if (typeof field === 'number') numbers[prefix + key] = field
    else if (typeof field === 'boolean') numbers[prefix + key] = Number(field)
    else if (typeof field === 'object' && field !== null) Object.assign(numbers, flat(field, `${prefix}${key}.`))
  }
  return numbers
}
