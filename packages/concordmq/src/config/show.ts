/** `config show`: the effective configuration, each value with its origin, as TOML that can be read back, or as JSON. */
import { tomlString } from '../files/parse-toml.ts'
import type { Change } from './key-types.ts'
import { allPaths, keys, type Path } from './keys.ts'
import type { Configuration } from './settings.ts'

export interface ShownValue {
  readonly path: Path
  /** Null: not set. Secrets: `"(hidden)"`. */
  readonly value: unknown
  readonly origin: string
  readonly change: Change
  readonly about: string
}

/** Every key in the order of the table. */
export function shownValues({ settings, origins }: Configuration): ShownValue[] {
  return allPaths.map((path) => {
    const key: { readonly change: Change; readonly about: string; readonly secret?: true } = keys[path]
    const value = settings[path] ?? null
    return {
      path,
      value: key.secret && value !== null ? '(hidden)' : value,
      origin: origins.get(path) ?? 'default',
      change: key.change,
      about: key.about,
    }
  })
}

export function showJson(configuration: Configuration): string {
  return `${JSON.stringify({ directory: configuration.directory, file: configuration.file ?? null, values: shownValues(configuration) }, null, 2)}\n`
}

/** TOML with the origin as a comment; keys without a value are comments altogether. */
export function showToml(configuration: Configuration): string {
  const lines = [`# Configuration directory: ${configuration.directory}`, `# File: ${configuration.file ?? 'none'}`, '']
  let group = ''
  for (const { path, value, origin } of shownValues(configuration)) {
    const dot = path.indexOf('.')
    const table = dot === -1 ? '' : path.slice(0, dot)
    if (table !== group) {
      group = table
      lines.push('', `[${table}]`)
    }
    const hidden = value === null || value === '(hidden)'
    const text = value === null ? '(not set)' : value === '(hidden)' ? value : tomlValue(value)
    lines.push(`${hidden ? '# ' : ''}${path.slice(dot + 1)} = ${text}  # ${origin}`)
  }
  return `${lines.join('\n')}\n`
}

export function tomlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`
  return typeof value === 'string' ? tomlString(value) : String(value)
}
