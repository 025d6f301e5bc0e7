"""The blueprint that the pages for staff hang on."""

from flask import Blueprint

blueprint = Blueprint("dashboard", __name__, url_prefix="/desk")
