/** The outbox by itself, for pages that are not this portal's: see README.md beside this file. */
export { openOutbox } from "./index";
export { tabParts } from "./page";
export { openRegistry } from "./registry";
