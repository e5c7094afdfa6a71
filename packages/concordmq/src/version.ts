/** The version of the program, from its manifest: the same file in the checkout and in the published package. */
import { readFileSync } from 'node:fs'

export function programVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}
