/** What every layer of configuration is made of. */
import type { Path } from './keys.ts'

/** One value somewhere, before it is checked. */
export interface Assignment {
  readonly path: Path
  readonly value: unknown
  /** Shown to people: `--mqtt-addr`, `CONCORDMQ_MQTT_ADDR`, `concordmq.toml`. */
  readonly origin: string
  /** Folder that relative paths count from. */
  readonly base: string
}
