/**
 * The library's options out of the program's settings: a section's option `packetBytesMax` is the key
 * `limits.packet-bytes-max`. Options that have no key (a logger, functions) are not in the library's table of options.
 */
import { type BrokerOptions, optionKeys } from '@concordmq/broker'
import type { Settings } from '../config/keys.ts'

type Section = 'limits' | 'bans' | 'sessions' | 'retained' | 'delivery' | 'features' | 'sys' | 'ordering'

export function optionsOf<S extends Section>(section: S, settings: Settings): NonNullable<BrokerOptions[S]> {
  const values: Readonly<Record<string, unknown>> = settings
  const options = Object.keys(optionKeys[section]).map((name) => {
    const path = `${section}.${kebab(name)}`
    // A misspelt key would silently be a default.
    if (!Object.hasOwn(values, path)) throw new TypeError(`The option ${section}.${name} has no key ${path}`)
    return [name, values[path]]
  })
  return Object.fromEntries(options) as NonNullable<BrokerOptions[S]>
}

/** `packet-bytes-max` for `packetBytesMax`, `maximum-qos` for `maximumQoS`. */
function kebab(name: string): string {
  return name.replace('QoS', 'Qos').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
