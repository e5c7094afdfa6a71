/** All entries. A bug in the codec begins with a new line in one of these files. */
import { acknowledgements } from './entries/acknowledgements.ts'
import { connacks } from './entries/connacks.ts'
import { connects } from './entries/connects.ts'
import { fixedHeaders } from './entries/fixed-headers.ts'
import { properties } from './entries/properties.ts'
import { publishes } from './entries/publishes.ts'
import { signals } from './entries/signals.ts'
import { subscriptions } from './entries/subscriptions.ts'
import type { CatalogueEntry } from './entry.ts'

export const catalogue: readonly CatalogueEntry[] = [
  ...fixedHeaders,
  ...connects,
  ...connacks,
  ...publishes,
  ...acknowledgements,
  ...subscriptions,
  ...signals,
  ...properties,
]
