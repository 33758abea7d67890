import js from "@eslint/js";

export default [
  { ignores: ["ve/", "var/", "**/static/built*/"] },
  {
    ...js.configs.recommended,
    files: ["assets/**/*.js"],
    languageOptions: { globals: { document: "readonly" } },
  },
];
