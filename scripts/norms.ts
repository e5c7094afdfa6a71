/** `npm run norms`: how much of the MQTT standards the tests hold. See `testing/conformance/README.md`. */
import { main } from '../testing/conformance/src/coverage.ts'

main()
